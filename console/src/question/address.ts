/** The address of a screen and its state: one gives the other. */

export interface Question {
  q: string
  after: string
  before: string
  /** The size of the log as of which it is asked; 0 for now. */
  asOf: number
}

export interface SearchState extends Question {
  order: 'desc' | 'asc'
  page: number
  size: number
  cols: string[]
  /** Index or id of the event in the drawer; empty for none. */
  event: string
}

export const SIZES = [50, 100, 200]
export const DEFAULT_COLUMNS = [
  'time', 'actor', 'operation', 'resource', 'outcome', 'ip', 'trail',
] as const

/** The chip of the home screen: Daybook's own record is not shown. */
export const HOME_QUESTION = '-trail:dbaudit/daybook/*/*'

/** A question without the chip's term, if it begins with it. */
export function withoutOwn(q: string): string {
  return q === HOME_QUESTION || q.startsWith(`${HOME_QUESTION} `)
    ? q.slice(HOME_QUESTION.length).trimStart()
    : q
}

export function homeState(): SearchState {
  return {
    q: HOME_QUESTION, after: '-24h', before: '', asOf: 0, order: 'desc', page: 1, size: 100,
    cols: [...DEFAULT_COLUMNS], event: '',
  }
}

export function readSearch(parameters: URLSearchParams): SearchState {
  const home = homeState()
  const size = whole(parameters.get('size'), home.size)
  const cols = (parameters.get('cols') ?? '').split(',').filter((one) => one !== '')
  return {
    q: parameters.get('q') ?? '',
    after: parameters.get('after') ?? '',
    before: parameters.get('before') ?? '',
    asOf: whole(parameters.get('as_of'), 0),
    order: parameters.get('order') === 'asc' ? 'asc' : 'desc',
    page: Math.max(1, whole(parameters.get('page'), 1)),
    size: SIZES.includes(size) ? size : home.size,
    cols: cols.length === 0 ? home.cols : cols,
    event: parameters.get('event') ?? '',
  }
}

function whole(text: string | null, otherwise: number): number {
  const value = text !== null && /^\d{1,15}$/u.test(text) ? Number(text) : otherwise
  return Number.isSafeInteger(value) ? value : otherwise
}

/** The address of a search. What is as usual is left out, so that links stay short. */
export function writeSearch(state: SearchState): string {
  const home = homeState()
  const parameters = new URLSearchParams()
  if (state.q !== '') parameters.set('q', state.q)
  if (state.after !== '') parameters.set('after', state.after)
  if (state.before !== '') parameters.set('before', state.before)
  if (state.order !== home.order) parameters.set('order', state.order)
  if (state.page !== 1) parameters.set('page', String(state.page))
  if (state.size !== home.size) parameters.set('size', String(state.size))
  if (state.cols.join() !== home.cols.join()) parameters.set('cols', state.cols.join())
  if (state.asOf !== 0) parameters.set('as_of', String(state.asOf))
  if (state.event !== '') parameters.set('event', state.event)
  const query = parameters.toString()
  return `/console/search${query === '' ? '' : `?${query}`}`
}

/** Whether two states ask the same, so that only the page or the drawer differs. */
export function asksSame(a: Question, b: Question): boolean {
  return a.q === b.q && a.after === b.after && a.before === b.before && a.asOf === b.asOf
}
