/** The address of the page. */

interface Route {
  path: string
  search: string
}

function here(): Route {
  return { path: location.pathname.replace(/\/+$/u, '') || '/console', search: location.search }
}

export const route: Route = $state(here())

export function parameters(): URLSearchParams {
  return new URLSearchParams(route.search)
}

/** Goes to an address of the console: as a new step of history, or in place of this one. */
export function go(address: string, isStep = true): void {
  if (address === location.pathname + location.search) return
  if (isStep) history.pushState(null, '', address)
  else history.replaceState(null, '', address)
  Object.assign(route, here())
}

export function watchAddress(): void {
  addEventListener('popstate', () => Object.assign(route, here()))
}

/** Follows links within the console without loading the page anew. */
export function followLink(click: MouseEvent): void {
  if (click.defaultPrevented || click.button !== 0) return
  if (click.metaKey || click.ctrlKey || click.shiftKey || click.altKey) return
  const link = (click.target as Element | null)?.closest('a')
  const address = link?.getAttribute('href')
  if (!link || !address?.startsWith('/console') || link.hasAttribute('download')) return
  click.preventDefault()
  go(address)
  if (!address.startsWith('/console/search')) scrollTo(0, 0)
}
