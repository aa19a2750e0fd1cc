/** The one menu for a value, and short notices. */

interface ValueMenu {
  anchor: HTMLElement | undefined
  /** Field of the search; empty if the value cannot be searched for exactly. */
  field: string
  value: string
  /** Trail of the event, for links to a resource. */
  trail: string
}

export const valueMenu: ValueMenu = $state({ anchor: undefined, field: '', value: '', trail: '' })

export function openMenu(anchor: HTMLElement, field: string, value: string, trail = ''): void {
  Object.assign(valueMenu, { anchor, field, value, trail })
}

export const notice: { text: string } = $state({ text: '' })

let timer: ReturnType<typeof setTimeout> | undefined

/** Says something for a moment, also to screen readers. */
export function say(text: string): void {
  notice.text = text
  clearTimeout(timer)
  timer = setTimeout(() => {
    notice.text = ''
  }, 4000)
}

export async function copy(text: string, said: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    copyOverSelection(text)
  }
  say(said)
}

/** On plain HTTP there is no clipboard API. */
function copyOverSelection(text: string): void {
  const area = document.createElement('textarea')
  area.value = text
  area.className = 'hidden'
  document.body.append(area)
  area.select()
  document.execCommand('copy')
  area.remove()
}

/** Puts what floats below its anchor, within the window. */
export function place(floating: HTMLElement, anchor: HTMLElement, isRight = false): void {
  const at = anchor.getBoundingClientRect()
  const { offsetWidth: width, offsetHeight: height } = floating
  const left = isRight ? at.right - width : at.left
  const isAbove = at.bottom + height + 4 > innerHeight && at.top - height - 4 > 0
  floating.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`
  floating.style.top = `${isAbove ? at.top - height - 4 : Math.min(at.bottom + 4, Math.max(8, innerHeight - height - 8))}px`
}
