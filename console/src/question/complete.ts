/** What the bar suggests at the cursor. */

import { CLOSED, FIELDS, parse, quote } from './terms.ts'

/** The part of the text under the cursor that a suggestion replaces. */
export interface Target {
  start: number
  end: number
  /** The field whose value is typed; absent for a bare word. */
  field?: string
  beginning: string
}

export interface Suggestion {
  /** What replaces the target. */
  insert: string
  /** What is shown: the value or the field's name. */
  label: string
  field?: string
  count?: number
  /** A field's name is completed with a colon and asks for a value next. */
  isField: boolean
}

/** The target at the cursor, if the cursor stands at the end of a word, a value or a field. */
export function targetAt(text: string, cursor: number): Target | undefined {
  const term = parse(text).find((one) => one.start <= cursor && cursor <= one.end)
  if (term === undefined) return undefined
  const { valuesAt } = term
  if (cursor < valuesAt) return undefined
  const before = text.slice(valuesAt, cursor)
  if (term.field === undefined) {
    if (before.startsWith('"')) return undefined
    return { start: valuesAt, end: term.end, beginning: before }
  }
  const from = valuesAt + lastComma(before) + 1
  const rest = text.slice(cursor, term.end)
  const stop = rest.search(/,/u)
  return {
    start: from,
    end: stop === -1 ? term.end : cursor + stop,
    field: term.field,
    beginning: text.slice(from, cursor).replace(/^"/u, '').replace(/\\(["\\])/gu, '$1'),
  }
}

/** The last comma that is not in quotes. */
function lastComma(list: string): number {
  let isQuoted = false
  let last = -1
  for (let at = 0; at < list.length; at += 1) {
    if (list[at] === '\\') at += 1
    else if (list[at] === '"') isQuoted = !isQuoted
    else if (list[at] === ',' && !isQuoted) last = at
  }
  return last
}

/** Suggestions that need no request: names of fields, and values of those that have few. */
export function atOnce(target: Target): Suggestion[] {
  const beginning = target.beginning.toLowerCase()
  if (target.field === undefined) {
    if (beginning === '') return []
    return FIELDS.filter((name) => name.startsWith(beginning)).map((name) => ({
      insert: `${name}:`, label: name, isField: true,
    }))
  }
  const values = CLOSED[target.field] ?? []
  return values
    .filter((value) => value.startsWith(beginning))
    .map((value) => ({ insert: value, label: value, field: target.field as string, isField: false }))
}

/** The suggestion of a value that the log has. */
export function valueSuggestion(
  target: Target, field: string, value: string, count: number,
): Suggestion {
  const name = target.field ?? field
  const written = quote({ text: value, isPrefix: false }, name)
  const insert = target.field === undefined ? `${name}:${written}` : written
  return { insert, label: value, field: name, count, isField: false }
}

/** The text with the suggestion in it, and the cursor behind it. */
export function accept(text: string, target: Target, one: Suggestion): [string, number] {
  const head = text.slice(0, target.start) + one.insert
  const tail = text.slice(target.end)
  if (one.isField || tail !== '') return [head + tail, head.length]
  return [`${head} `, head.length + 1]
}
