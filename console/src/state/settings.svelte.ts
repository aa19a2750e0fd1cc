/** What is the reader's own: language, theme, zone, density. Never in links, never a secret. */

import { en } from '../words/en.ts'
import { zh } from '../words/zh.ts'
import type { Words } from '../words/en.ts'

export type Language = 'en' | 'zh'

interface Settings {
  language: Language
  theme: 'system' | 'light' | 'dark'
  zone: string
  density: 'dense' | 'normal' | 'wide'
  hasKeys: boolean
  hasChart: boolean
  closedFacets: string[]
  history: string[]
}

const KEY = 'daybook.settings'
const HISTORY_MAX = 10

export const LOCAL_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC'

function defaults(): Settings {
  return {
    language: navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en',
    theme: 'system', zone: 'UTC', density: 'dense', hasKeys: true, hasChart: true,
    closedFacets: ['resource.name', 'severity'], history: [],
  }
}

function load(): Settings {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}')
    return { ...defaults(), ...(stored as Partial<Settings>) }
  } catch {
    return defaults()
  }
}

export const settings: Settings = $state(load())

/** Puts the settings into effect and stores them. Called in an effect of the page. */
export function applySettings(): void {
  const root = document.documentElement
  root.lang = settings.language === 'zh' ? 'zh-Hans' : 'en'
  root.dataset['theme'] = settings.theme
  root.dataset['density'] = settings.density
  try {
    localStorage.setItem(KEY, JSON.stringify(settings))
  } catch {
    // A browser that stores nothing still shows everything.
  }
}

export function words(): Words {
  return settings.language === 'zh' ? zh : en
}

export function remember(question: string): void {
  if (question.trim() === '') return
  const others = settings.history.filter((one) => one !== question)
  settings.history = [question, ...others].slice(0, HISTORY_MAX)
}

export function toggleZone(): void {
  settings.zone = settings.zone === 'UTC' ? LOCAL_ZONE : 'UTC'
}
