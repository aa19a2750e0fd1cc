/** Every request of the page goes through here. */

import type { Problem } from './types.ts'

/** A request that the server refused, or that did not reach it (`status` 0). */
export class ApiError extends Error {
  readonly problem: Problem
  /** Seconds after which the server wants to be asked again. */
  readonly retryAfter: number | undefined

  constructor(problem: Problem, retryAfter?: number) {
    super(problem.detail ?? problem.title)
    this.problem = problem
    this.retryAfter = retryAfter
  }
}

export interface Options {
  method?: string
  body?: unknown
  signal?: AbortSignal | undefined
  headers?: Record<string, string>
}

let onSignedOut: () => void = () => undefined

/** Sets what happens when the server no longer knows the session. */
export function whenSignedOut(act: () => void): void {
  onSignedOut = act
}

/** Sends a request, and fails with an `ApiError` unless the answer is a success. */
export async function request(path: string, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = { 'X-Daybook-Console': '1', ...options.headers }
  const init: RequestInit = {
    method: options.method ?? 'GET', headers, credentials: 'same-origin', redirect: 'error',
    cache: 'no-store',
  }
  if (options.signal !== undefined) init.signal = options.signal
  if (options.body !== undefined) {
    headers['Content-Type'] = 'application/json'
    init.body = JSON.stringify(options.body)
  }
  let response: Response
  try {
    response = await fetch(path, init)
  } catch (error) {
    if (options.signal?.aborted) throw error
    throw new ApiError({ status: 0, title: 'offline' })
  }
  if (response.ok) return response
  const problem = await readProblem(response)
  if (response.status === 401 && path !== '/api/v1/session') onSignedOut()
  const seconds = Number(response.headers.get('Retry-After'))
  throw new ApiError(problem, seconds > 0 ? seconds : undefined)
}

async function readProblem(response: Response): Promise<Problem> {
  const fallback: Problem = { status: response.status, title: response.statusText }
  try {
    const body: unknown = await response.json()
    if (typeof body !== 'object' || body === null) return fallback
    return { ...fallback, ...(body as Partial<Problem>) }
  } catch {
    return fallback
  }
}

export async function json<T>(path: string, options: Options = {}): Promise<T> {
  const response = await request(path, options)
  return (await response.json()) as T
}

export async function text(path: string, options: Options = {}): Promise<string> {
  return (await request(path, options)).text()
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError'
}

/** What to show of any failure. */
export function asProblem(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  const detail = error instanceof Error ? error.message : String(error)
  return new ApiError({ status: 0, title: 'error', detail, code: 'client' })
}

/** Lines of a streamed answer, as they come. */
export async function* lines(response: Response): AsyncGenerator<string> {
  if (response.body === null) return
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let left = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      const parts = (left + value).split('\n')
      left = parts.pop() ?? ''
      for (const line of parts) yield line
    }
    if (left !== '') yield left
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

export function query(values: Record<string, string | number | boolean | undefined>): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== '' && value !== 0 && value !== false) {
      parameters.set(name, String(value))
    }
  }
  return parameters.toString()
}
