/** How many sources need a look, for the dot in the navigation. */

import { sources } from '../api/read.ts'
import type { Sources } from '../api/types.ts'
import { health, isTrouble } from '../words/health.ts'

const EVERY_MS = 60_000

class SourcesState {
  troubled = $state(0)

  take(found: Sources): void {
    const now = Date.parse(found.now)
    this.troubled = found.sources.filter((source) => isTrouble(health(source, now))).length
  }

  start(): () => void {
    const load = (): void => {
      if (document.hidden) return
      sources()
        .then((found) => this.take(found))
        .catch(() => undefined)
    }
    load()
    const timer = setInterval(load, EVERY_MS)
    return () => clearInterval(timer)
  }
}

export const sourcesState = new SourcesState()
