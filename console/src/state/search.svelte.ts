/** The search on the screen: what was asked, and what has been answered so far. */

import { ApiError, asProblem, isAbort } from '../api/request.ts'
import type { FacetPart, Gap, HistogramPart, LogEvent, Page } from '../api/types.ts'
import { total, view } from '../api/view.ts'
import type { Part } from '../api/view.ts'
import { asksSame, homeState, readSearch, withoutOwn, writeSearch } from '../question/address.ts'
import type { Question, SearchState } from '../question/address.ts'
import { parse, takeTimes } from '../question/terms.ts'
import { instant, isRelative, meaning, PRESETS } from '../question/time.ts'
import { go, parameters, route } from './route.svelte.ts'
import { remember, settings } from './settings.svelte.ts'

/** Facets of the side column. */
export const FACETS = [
  'outcome', 'operation', 'actor.name', 'actor.type', 'resource.name', 'ip', 'trail', 'severity',
]
/** Facets that are asked for on demand. */
export const MORE_FACETS = [
  'action', 'resource.type', 'source', 'service', 'project', 'instance', 'class', 'actor.id',
]
export const FACET_LIMIT = 6
const BUCKETS = 120

interface Results {
  page: Page | undefined
  histogram: HistogramPart | undefined
  facets: Record<string, FacetPart>
  leftOut: number
  gaps: Gap[]
  problems: Record<string, ApiError>
  /** What no part answered: the whole question failed. */
  failure: ApiError | undefined
  isLoading: boolean
  since: number
  /** When the page was answered. */
  at: number
  /** Of the same question in all time, when nothing matched. */
  elsewhere: number | undefined
}

/** The question, page and drawer that the address gives. */
class Search {
  state: SearchState = $state(homeState())
  results: Results = $state({
    page: undefined, histogram: undefined, facets: {}, leftOut: 0, gaps: [], problems: {},
    failure: undefined, isLoading: false, since: 0, at: 0, elsewhere: undefined,
  })
  /** Index of the row that the keyboard is on. */
  row = $state(-1)
  marked: number[] = $state([])
  extraFacets: string[] = $state([])
  facetLimits: Record<string, number> = $state({})
  /** Size of the log as of which pages are turned. */
  pinned = $state(0)
  isHome = $state(false)
  /** The home screen shows more than a day because nothing happened in it. */
  isWidened = $state(false)
  /** Ranges to which Backspace goes back. */
  ranges: { after: string; before: string }[] = $state([])

  #running: AbortController | undefined
  #answered: SearchState | undefined

  /** Takes over the address, and asks what is not answered yet. */
  follow(): void {
    if (route.path !== '/console' && route.path !== '/console/search') return
    this.isHome = route.path === '/console' && route.search === ''
    const next = this.isHome ? { ...homeState(), event: '' } : readSearch(parameters())
    const before = this.#answered
    this.state = next
    this.isWidened = false
    if (before === undefined || !asksSame(before, next)) {
      void this.run(true)
    } else if (this.#needsPage(before, next)) {
      void this.run(false)
    }
  }

  #needsPage(a: SearchState, b: SearchState): boolean {
    return a.page !== b.page || a.size !== b.size || a.order !== b.order
  }

  /** Changes the question: a step of history, from the first page on. */
  ask(change: Partial<SearchState>): void {
    const next = { ...this.state, page: 1, event: '', asOf: 0, ...change }
    const times = takeTimes(next.q)
    next.q = times.text
    if (times.after !== undefined || times.before !== undefined) {
      next.after = times.after ?? ''
      next.before = times.before ?? ''
    }
    remember(withoutOwn(next.q))
    const address = writeSearch(next)
    if (address === location.pathname + location.search) void this.run(true)
    else go(address)
  }

  /** Changes the range, so that Backspace can go back. */
  zoom(after: string, before: string): void {
    this.ranges = [...this.ranges, { after: this.state.after, before: this.state.before }]
    this.ask({ after, before })
  }

  zoomBack(): void {
    const last = this.ranges.at(-1)
    if (last === undefined) return
    this.ranges = this.ranges.slice(0, -1)
    this.ask(last)
  }

  /** Changes what does not change the question: the page, columns, the drawer. */
  show(change: Partial<SearchState>, isStep = false): void {
    const next = { ...this.state, ...change }
    go(writeSearch(next), isStep)
  }

  openEvent(event: string): void {
    this.show({ event }, this.state.event === '')
  }

  closeEvent(): void {
    this.show({ event: '' })
  }

  get pages(): number {
    return Math.max(1, Math.ceil((this.results.page?.total ?? 0) / this.state.size))
  }

  turn(page: number): void {
    const within = Math.min(this.pages, Math.max(1, page))
    if (within !== this.state.page) {
      this.row = -1
      this.show({ page: within })
    }
  }

  cancel(): void {
    this.#running?.abort()
    this.results.isLoading = false
  }

  /** The same question as of now. */
  again(): void {
    if (this.state.asOf === 0) void this.run(true)
    else this.ask({ asOf: 0, event: this.state.event })
  }

  /** Asks the server. A whole run has the chart and the facets; a page alone has its rows. */
  async run(isWhole: boolean): Promise<void> {
    this.#running?.abort()
    const running = new AbortController()
    this.#running = running
    const state = { ...this.state }
    this.#answered = state
    const results = this.results
    Object.assign(results, { isLoading: true, since: Date.now(), failure: undefined })
    if (isWhole) Object.assign(results, { problems: {}, elsewhere: undefined })
    else results.problems = withoutPage(results.problems)
    const open = [...FACETS, ...this.extraFacets].filter(
      (facet) => !settings.closedFacets.includes(facet),
    )
    const asked = {
      ...state,
      asOf: state.asOf || (isWhole ? 0 : this.pinned),
      limit: state.size,
      offset: (state.page - 1) * state.size,
      buckets: isWhole && settings.hasChart ? BUCKETS : 0,
      facets: isWhole ? open : [],
      facetLimit: FACET_LIMIT,
    }
    try {
      for await (const part of view(asked, running.signal)) {
        if (this.#running !== running) return
        this.#take(part)
      }
    } catch (error) {
      if (this.#running !== running || isAbort(error)) return
      results.failure = asProblem(error)
    }
    results.isLoading = false
    if (isWhole && results.page?.total === 0 && results.failure === undefined) {
      await this.#widen(running.signal)
    }
  }

  /** Asks for a facet that was closed, or for more values of one. */
  async loadFacet(facet: string, limit: number): Promise<void> {
    const signal = this.#running?.signal ?? new AbortController().signal
    this.facetLimits[facet] = limit
    delete this.results.problems[`facet:${facet}`]
    const asked = {
      ...this.state, asOf: this.state.asOf || this.pinned, limit: 0, offset: 0, buckets: 0,
      facets: [facet], facetLimit: limit,
    }
    try {
      for await (const part of view(asked, signal)) {
        if (part.part === 'facet' || part.part === 'problem') this.#take(part)
      }
    } catch (error) {
      if (!isAbort(error)) this.results.problems[`facet:${facet}`] = asProblem(error)
    }
  }

  #take(part: Part): void {
    const results = this.results
    if (part.part === 'page') {
      results.page = part
      results.at = Date.now()
      this.pinned = part.as_of
      if (this.row >= part.events.length) this.row = -1
    } else if (part.part === 'histogram') {
      results.histogram = part
    } else if (part.part === 'facet') {
      results.facets[part.facet] = part
    } else if (part.part === 'own') {
      results.leftOut = part.left_out
    } else if (part.part === 'gaps') {
      results.gaps = part.gaps
    } else if (part.part === 'problem') {
      results.problems[part.of] = new ApiError(part.problem)
    }
  }

  /** When nothing matches: on the home screen the shortest preset that has events, else a count. */
  async #widen(signal: AbortSignal): Promise<void> {
    const { q, asOf } = this.state
    if (this.state.after === '' && this.state.before === '') {
      this.results.elsewhere = 0
      return
    }
    try {
      const all = await total({ q, after: '', before: '', asOf }, signal)
      this.results.elsewhere = all
      if (!this.isHome || all === 0) return
      for (const preset of PRESETS.slice(PRESETS.indexOf('-24h') + 1)) {
        const count = preset === '' ? all : await total({ q, after: preset, before: '', asOf })
        if (count === 0) continue
        this.state = { ...this.state, after: preset }
        this.isWidened = true
        await this.run(true)
        return
      }
    } catch (error) {
      if (!isAbort(error)) this.results.elsewhere = undefined
    }
  }

  /** The question with absolute times, as of the size that is shown. */
  fixed(): Question {
    const { q, after, before } = this.state
    const at = this.results.at || Date.now()
    const absolute = (text: string): string =>
      text !== '' && isRelative(text) ? instant(meaning(text, at) ?? at) : text
    return { q, after: absolute(after), before: absolute(before), asOf: this.pinned }
  }

  /** The link that shows exactly this, also later. */
  link(): string {
    return location.origin + writeSearch({ ...this.state, ...this.fixed() })
  }

  get events(): LogEvent[] {
    return this.results.page?.events ?? []
  }

  /** The event in the drawer moves with the row. */
  moveRow(by: number): void {
    if (this.events.length === 0) return
    const at = this.events.findIndex((event) => isNamed(event, this.state.event))
    const from = this.state.event !== '' && at >= 0 ? at : this.row
    const next = Math.min(this.events.length - 1, Math.max(0, from + by))
    this.row = next
    const event = this.events[next]
    if (this.state.event !== '' && event !== undefined) this.openEvent(String(event.index))
  }

  mark(index: number): void {
    const isMarked = this.marked.includes(index)
    this.marked = isMarked
      ? this.marked.filter((one) => one !== index)
      : [...this.marked, index].slice(-5)
  }

  get hasTerms(): boolean {
    return parse(this.state.q).length > 0
  }
}

export function isNamed(event: LogEvent, name: string): boolean {
  return String(event.index) === name || event.id === name
}

function withoutPage(problems: Record<string, ApiError>): Record<string, ApiError> {
  return Object.fromEntries(Object.entries(problems).filter(([name]) => name !== 'page'))
}

export const search = new Search()
