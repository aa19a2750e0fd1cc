/** What this browser remembers of a log: pinned keys, the last checkpoint, and what did not verify. */

export interface Failure {
  reason: string
  at: number
  /** The checkpoint that it had and the one that does not follow it. */
  previous: string
  newest: string
}

export interface LogMemory {
  pinned: string[]
  /** The last checkpoint that verified, as a note, by the key that signed it. */
  checkpoints: Record<string, string>
  failure: Failure | undefined
}

const KEY = 'daybook.evidence'
const LOGS_MAX = 20

function all(): Record<string, LogMemory> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '{}') as Record<string, LogMemory>
  } catch {
    return {}
  }
}

export function readMemory(origin: string): LogMemory {
  const memory = all()[origin]
  return { pinned: memory?.pinned ?? [], checkpoints: memory?.checkpoints ?? {}, failure: memory?.failure }
}

export function writeMemory(origin: string, memory: LogMemory): void {
  const logs = Object.entries({ ...all(), [origin]: memory }).slice(-LOGS_MAX)
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
