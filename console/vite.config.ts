import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

// Two builds with fixed names: the page, and what checks evidence. The second is a file of its own,
// loaded when it is needed, and complete in itself, so that it never loads the page again.
const part = process.env['CONSOLE_PART'] ?? 'app'

export default defineConfig({
  base: '/console/',
  plugins: [svelte({ configFile: 'svelte.config.js' })],
  build: {
    target: 'es2022',
    outDir: 'dist',
    emptyOutDir: false,
    cssCodeSplit: false,
    modulePreload: false,
    sourcemap: false,
    assetsInlineLimit: 0,
    ...(part === 'verify'
      ? { lib: { entry: 'src/evidence/verify.ts', formats: ['es'], fileName: () => 'verify.js' } }
      : {}),
    rollupOptions: {
      output: {
        entryFileNames: part === 'verify' ? 'verify.js' : 'app.js',
        assetFileNames: 'app[extname]',
      },
    },
  },
})
