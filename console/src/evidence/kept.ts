/** What this browser keeps of a log: pinned keys, the last checkpoint, and what did not verify. */

export interface Failure {
  reason: string
  at: number
  /** The checkpoint that was kept and the one that does not follow it. */
  kept: string
  newest: string
}

export interface Kept {
  pinned: string[]
  /** The last checkpoint that verified, as a note, by the key that signed it. */
  checkpoints: Record<string, string>
  failure: Failure | undefined
}

const KEY = 'daybook.evidence'
const LOGS_MAX = 20

function all(): Record<string, Kept> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '{}') as Record<string, Kept>
  } catch {
    return {}
  }
}

export function readKept(origin: string): Kept {
  const kept = all()[origin]
  return { pinned: kept?.pinned ?? [], checkpoints: kept?.checkpoints ?? {}, failure: kept?.failure }
}

export function writeKept(origin: string, kept: Kept): void {
  const logs = Object.entries({ ...all(), [origin]: kept }).slice(-LOGS_MAX)
  try {
    localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(logs)))
  } catch {
    // Without storage each visit begins anew, and the badge says no more than "signed".
  }
}

export function forget(origin: string): void {
  const logs = Object.entries(all()).filter(([name]) => name !== origin)
  localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(logs)))
}
