/** Single keys act outside of inputs, on the topmost screen, and can be switched off. */

import { settings } from './settings.svelte.ts'

type Handler = (key: string) => boolean

class Keys {
  #handlers: Handler[] = []

  /** Adds a handler until the function that it returns is called. The newest is asked first. */
  listen(handler: Handler): () => void {
    this.#handlers = [handler, ...this.#handlers]
    return () => {
      this.#handlers = this.#handlers.filter((one) => one !== handler)
    }
  }

  pressed(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return
    if (!settings.hasKeys && event.key !== 'Escape') return
    const target = event.target as Element
    if (target.closest('input, textarea, select, dialog, [popover], [contenteditable]')) return
    if (event.key === 'Enter' && target.closest('button, a, [role=tab]')) return
    if (this.#handlers.some((handler) => handler(event.key))) event.preventDefault()
  }
}

export const keys = new Keys()
