/**
 * The live tail: newest on top, held while the reader is at it.
 *
 * One stream a tab, closed while the tab is hidden; and one a browser, since over HTTP/1.1 a browser
 * has six connections to a server for all tabs together.
 */

import { asProblem, isAbort } from '../api/request.ts'
import type { ApiError } from '../api/request.ts'
import { follow } from '../api/follow.ts'
import type { LogEvent } from '../api/types.ts'
import type { Question } from '../question/address.ts'

const ROWS_MAX = 500
const WAITING_MAX = 5_000
const DRAW_MS = 250
const RETRY_MS = 2_000
const LOCK = 'daybook-live'

class Live {
  isOn = $state(false)
  /** Another tab of this browser has the stream. */
  isElsewhere = $state(false)
  rows: LogEvent[] = $state.raw([])
  waiting = $state(0)
  /** More arrived than is kept; from this index on, a search shows them. */
  overflowFrom = $state(-1)
  failure: ApiError | undefined = $state.raw()
  /** Reasons for which the list holds still. */
  holds: Record<string, boolean> = $state({})

  #question: Question | undefined
  #next = 0
  #queue: LogEvent[] = []
  #stream: AbortController | undefined
  #timer: ReturnType<typeof setInterval> | undefined

  get isHeld(): boolean {
    return Object.values(this.holds).some((held) => held)
  }

  hold(reason: string, held: boolean): void {
    if (this.holds[reason] !== held) this.holds[reason] = held
  }

  /** Follows a question from a size of the log on, below the rows that are there. */
  start(question: Question, from: number, rows: LogEvent[]): void {
    this.stop()
    Object.assign(this, {
      isOn: true, rows: rows.slice(0, ROWS_MAX), waiting: 0, overflowFrom: -1, failure: undefined,
    })
    this.#question = { ...question, before: '', asOf: 0 }
    this.#next = from
    this.#queue = []
    this.#timer = setInterval(() => this.#draw(), DRAW_MS)
    document.addEventListener('visibilitychange', this.#seen)
    void this.#run()
  }

  stop(): void {
    this.isOn = false
    this.isElsewhere = false
    this.#stream?.abort()
    this.#stream = undefined
    clearInterval(this.#timer)
    document.removeEventListener('visibilitychange', this.#seen)
  }

  /** Shows what waits, whatever holds the list. */
  flush(): void {
    this.#take()
  }

  readonly #seen = (): void => {
    if (document.hidden) {
      this.#stream?.abort()
      this.#stream = undefined
    } else if (this.#stream === undefined && this.isOn) {
      void this.#run()
    }
  }

  async #run(): Promise<void> {
    const stream = new AbortController()
    this.#stream = stream
    const { signal } = stream
    if (!('locks' in navigator)) return this.#follow(signal)
    this.isElsewhere = true
    try {
      await navigator.locks.request(LOCK, { signal }, async () => {
        this.isElsewhere = false
        await this.#follow(signal)
      })
    } catch (error) {
      if (!isAbort(error)) throw error
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const question = this.#question
    while (!signal.aborted && question !== undefined) {
      try {
        for await (const one of follow(question, this.#next, signal)) {
          this.failure = undefined
          if (Number.isSafeInteger(one.index)) this.#next = one.index + (one.event ? 1 : 0)
          if (one.event !== undefined) this.#add(one.event)
        }
      } catch (error) {
        if (isAbort(error) || signal.aborted) return
        this.failure = asProblem(error)
        if (this.failure.problem.status === 401) return
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }

  #add(event: LogEvent): void {
    if (this.#queue.length < WAITING_MAX) this.#queue.push(event)
    else if (this.overflowFrom < 0) this.overflowFrom = event.index
  }

  #draw(): void {
    this.waiting = this.#queue.length
    if (!this.isHeld && this.#queue.length > 0) this.#take()
  }

  #take(): void {
    const fresh = this.#queue.splice(0).reverse()
    this.rows = [...fresh, ...this.rows].slice(0, ROWS_MAX)
    this.waiting = 0
  }
}

export const live = new Live()
