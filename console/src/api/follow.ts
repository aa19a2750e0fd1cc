/** The live tail: events as they are recorded. */

import type { Question } from '../question/address.ts'
import { lines, query, request } from './request.ts'
import type { LogEvent } from './types.ts'

export interface Followed {
  index: number
  /** Absent for a report of how far the log was examined. */
  event?: LogEvent
}

/** Follows a question from an index on, until the signal or the server ends it. */
export async function* follow(
  asked: Question, from: number, signal: AbortSignal,
): AsyncGenerator<Followed> {
  const parameters = query({ q: asked.q, after: asked.after })
  const path = `/api/v1/tail?from=${from}${parameters === '' ? '' : `&${parameters}`}`
  const response = await request(path, { signal, headers: { Accept: 'text/event-stream' } })
  let id = ''
  let data = ''
  for await (const line of lines(response)) {
    if (line.startsWith('id:')) id = line.slice(3).trim()
    else if (line.startsWith('data:')) data += line.slice(5).trimStart()
    else if (line.trim() === '') {
      const index = Number(id)
      if (data !== '') yield { index, event: JSON.parse(data) as LogEvent }
      else if (id !== '') yield { index }
      id = ''
      data = ''
    }
  }
}
