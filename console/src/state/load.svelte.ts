/** One read of the server for a screen: what came, or why nothing did. */

import { asProblem, isAbort } from '../api/request.ts'
import type { ApiError } from '../api/request.ts'

export class Load<T> {
  value: T | undefined = $state.raw()
  failure: ApiError | undefined = $state.raw()
  isLoading = $state(false)

  #running: AbortController | undefined

  /** Reads anew. What was there stays in sight meanwhile. */
  async run(read: (signal: AbortSignal) => Promise<T>): Promise<void> {
    this.#running?.abort()
    const running = new AbortController()
    this.#running = running
    this.isLoading = true
    try {
      const value = await read(running.signal)
      if (this.#running !== running) return
      this.value = value
      this.failure = undefined
    } catch (error) {
      if (this.#running !== running || isAbort(error)) return
      this.failure = asProblem(error)
    }
    this.isLoading = false
  }

  stop(): void {
    this.#running?.abort()
  }
}
