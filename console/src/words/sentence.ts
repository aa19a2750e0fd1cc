/** One plain sentence for an event. Values stay apart from words, so that both show as what they are. */

import type { LogEvent } from '../api/types.ts'
import type { Words } from './en.ts'

export type Piece = string | { value: string }

const REFUSED_CODES = new Set(['401', '403', '407', '1044', '1045', '1142', '1143'])

export function actorName(event: LogEvent): string {
  return event.actor?.name ?? event.actor?.id ?? ''
}

export function resourceName(event: LogEvent): string {
  return event.resource?.name ?? event.resource?.id ?? ''
}

export function sentence(event: LogEvent, words: Words): Piece[] {
  const code = event.outcome.code === undefined ? '' : String(event.outcome.code)
  return words.sentence({
    who: actorName(event) || words.actorType(event.actor?.type ?? 'unknown'),
    operation: event.operation,
    action: event.action ?? event.operation,
    what: resourceName(event),
    result: event.outcome.result,
    isRefused: REFUSED_CODES.has(code),
  })
}
