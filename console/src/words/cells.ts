/** What a column of the table has for an event, and which field of the search it belongs to. */

import type { LogEvent } from '../api/types.ts'
import { actorName, resourceName } from './sentence.ts'

export interface Cell {
  text: string
  /** Field of the search; empty if this cannot be searched for exactly. */
  field: string
}

const NONE: Cell = { text: '', field: '' }

export const COLUMNS = [
  'time', 'received', 'actor', 'operation', 'resource', 'outcome', 'ip', 'trail', 'index',
  'source', 'severity', 'agent', 'description',
]

/** Digests are cut in the middle: their ends are what people compare. */
export function shorten(text: string): string {
  return text.replace(/(sha\d+:)?\b([0-9a-f]{8})[0-9a-f]{24,}([0-9a-f]{4})\b/gu, '$1$2…$3')
}

export function cell(event: LogEvent, column: string): Cell {
  const { actor, resource } = event
  switch (column) {
    case 'actor':
      return { text: actorName(event), field: actor?.name === undefined ? 'actor.id' : 'actor.name' }
    case 'resource':
      return {
        text: resourceName(event),
        field: resource?.name === undefined ? 'resource.id' : 'resource.name',
      }
    case 'operation':
      return { text: event.operation, field: 'operation' }
    case 'outcome':
      return { text: event.outcome.result, field: 'outcome' }
    case 'ip':
      return { text: event.source_ip?.address ?? '', field: 'ip' }
    case 'trail':
      return { text: event.trail, field: 'trail' }
    case 'index':
      return { text: String(event.index), field: '' }
    case 'source':
      return { text: event.source?.name ?? '', field: 'source' }
    case 'severity':
      return { text: String(event.severity ?? ''), field: 'severity' }
    case 'agent':
      return { text: event.user_agent ?? '', field: '' }
    case 'description':
      return { text: event.description ?? '', field: '' }
    default:
      return attribute(event, column)
  }
}

function attribute(event: LogEvent, column: string): Cell {
  if (!column.startsWith('attr.')) return NONE
  return { text: event.attributes?.[column.slice(5)] ?? '', field: column }
}

/** A trail as service and instance. */
export function shortTrail(trail: string): string {
  const parts = trail.split('/')
  return parts.length === 4 ? `${parts[0]} · ${parts[3]}` : trail
}
