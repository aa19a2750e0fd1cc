/** The single reads: an event, trails, sources, dead letters, the log's state. */

import { json, query, text } from './request.ts'
import type {
  DeadLetter, ExportManifest, Gap, LogStatus, Reader, RetryResult, Sources, Trail, WholeEvent,
} from './types.ts'

export function event(name: string, signal?: AbortSignal): Promise<WholeEvent> {
  return json<WholeEvent>(`/api/v1/events/${encodeURIComponent(name)}`, { signal })
}

export function proof(index: number, signal?: AbortSignal): Promise<string> {
  return text(`/api/v1/events/${index}/proof?entry=true`, { signal })
}

export async function readers(index: number, signal?: AbortSignal): Promise<Reader[]> {
  const path = `/api/v1/events/${index}/readers`
  return (await json<{ readers: Reader[] }>(path, { signal })).readers
}

export async function trails(signal?: AbortSignal): Promise<Trail[]> {
  return (await json<{ trails: Trail[] }>('/api/v1/trails?limit=1000', { signal })).trails
}

export function sources(signal?: AbortSignal): Promise<Sources> {
  return json<Sources>('/api/v1/sources', { signal })
}

export function deadLetters(
  offset: number, source: string, isAll: boolean, signal?: AbortSignal,
): Promise<{ records: DeadLetter[]; next: number | null }> {
  const parameters = query({ offset, source, all: isAll, limit: 100 })
  return json(`/api/v1/dead-letters?${parameters}`, { signal })
}

export function deadLetter(number: number, signal?: AbortSignal): Promise<DeadLetter> {
  return json<DeadLetter>(`/api/v1/dead-letters/${number}`, { signal })
}

export async function retry(numbers: number[]): Promise<RetryResult[]> {
  const answer = await json<{ records: RetryResult[] }>('/api/v1/dead-letters/retry', {
    method: 'POST', body: { numbers },
  })
  return answer.records
}

export async function gaps(trail: string, signal?: AbortSignal): Promise<Gap[]> {
  const parameters = query({ trail })
  const path = `/api/v1/gaps${parameters === '' ? '' : `?${parameters}`}`
  return (await json<{ gaps: Gap[] }>(path, { signal })).gaps
}

export function logStatus(signal?: AbortSignal): Promise<LogStatus> {
  return json<LogStatus>('/api/v1/log', { signal })
}

export function checkpoint(signal?: AbortSignal): Promise<string> {
  return text('/tlog/checkpoint', { signal })
}

export function exportPath(
  asked: { q: string; after: string; before: string; asOf: number }, format: string,
  isManifest = false,
): string {
  const parameters = query({
    q: asked.q, after: asked.after, before: asked.before, as_of: asked.asOf, format,
  })
  return `/api/v1/export${isManifest ? '/manifest' : ''}?${parameters}`
}

export function manifest(path: string, signal?: AbortSignal): Promise<ExportManifest> {
  return json<ExportManifest>(path, { signal })
}
