/** One question of the search screen, answered part by part as of one size of the log. */

import type { Question } from '../question/address.ts'
import { lines, request } from './request.ts'
import type { FacetPart, Gap, HistogramPart, Page, Problem, ValueCount } from './types.ts'
import { json, query } from './request.ts'

export type Part =
  | ({ part: 'page' } & Page)
  | ({ part: 'histogram' } & HistogramPart)
  | ({ part: 'facet' } & FacetPart)
  | { part: 'own'; left_out: number }
  | { part: 'gaps'; gaps: Gap[] }
  | { part: 'problem'; of: string; problem: Problem }
  | { part: 'end' }

export interface ViewRequest extends Question {
  order: 'desc' | 'asc'
  limit: number
  offset: number
  /** 0 asks for no histogram. */
  buckets: number
  facets: string[]
  facetLimit: number
}

export function viewPath(asked: ViewRequest): string {
  const parameters = new URLSearchParams(
    query({ q: asked.q.trim(), after: asked.after, before: asked.before, as_of: asked.asOf }),
  )
  if (asked.order === 'asc') parameters.set('order', 'asc')
  parameters.set('limit', String(asked.limit))
  if (asked.offset > 0) parameters.set('offset', String(asked.offset))
  if (asked.buckets > 0) parameters.set('buckets', String(asked.buckets))
  for (const facet of asked.facets) parameters.append('facet', facet)
  if (asked.facets.length > 0) {
    parameters.set('facet_limit', String(asked.facetLimit))
    parameters.set('without_own', 'true')
  }
  return `/api/v1/view?${parameters.toString()}`
}

export async function* view(asked: ViewRequest, signal: AbortSignal): AsyncGenerator<Part> {
  const response = await request(viewPath(asked), { signal })
  for await (const line of lines(response)) {
    if (line.trim() !== '') yield JSON.parse(line) as Part
  }
}

/** Values that begin so, with exact counts in the question. */
export async function values(
  beginning: string, field: string | undefined, asked: Question, signal: AbortSignal,
): Promise<ValueCount[]> {
  const parameters = query({
    beginning, field, q: asked.q, after: asked.after, before: asked.before, as_of: asked.asOf,
    limit: 10,
  })
  const answer = await json<{ values: ValueCount[] }>(`/api/v1/values?${parameters}`, { signal })
  return answer.values
}

/** The exact number of events that a question has, and the size of the log then. */
export async function total(asked: Question, signal?: AbortSignal): Promise<number> {
  const parameters = query({
    q: asked.q, after: asked.after, before: asked.before, as_of: asked.asOf,
  })
  const path = `/api/v1/events?limit=0${parameters === '' ? '' : `&${parameters}`}`
  return (await json<{ total: number }>(path, { signal })).total
}
