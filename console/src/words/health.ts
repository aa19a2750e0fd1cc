/** One word for the state of a source, and the losses behind it. */

import type { Source } from '../api/types.ts'

export type Health = 'losing' | 'silent' | 'behind' | 'never' | 'quiet' | 'heard'

/** Counts that mean that something is gone, or may be. */
export const LOSSES = [
  'missing', 'lost_bytes', 'file_gaps', 'dropped_by_daybook', 'dropped_by_kernel', 'truncated',
  'unfollowed', 'refused', 'connections_refused',
]

const QUIET_MS = 60 * 60_000

export function losses(source: Source): [string, number][] {
  return LOSSES.map((name): [string, number] => [name, source.counts[name] ?? 0]).filter(
    ([, count]) => count > 0,
  )
}

export function health(source: Source, now: number): Health {
  if (losses(source).length > 0) return 'losing'
  if (source.silent_since !== null) return 'silent'
  if (source.behind_bytes > 0) return 'behind'
  if (source.last_received_at === null) return 'never'
  return now - Date.parse(source.last_received_at) > QUIET_MS ? 'quiet' : 'heard'
}

/** Whether somebody should look at it. */
export function isTrouble(state: Health): boolean {
  return state === 'losing' || state === 'silent' || state === 'behind'
}
