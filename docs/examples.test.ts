import { execFile } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

// Examples that do not compile are worse than none. Every ```ts block of the pages below is type-checked against the workspace.
//
// - A block whose first line is `// name.ts` is that file; other blocks of its page can import it.
// - What a reader has and the page does not show is in a comment of the page, `<!-- ts … -->`, before the block that needs it.
// - A block with imports, its own or in such a comment, begins a module; one without goes on where the block before it ended.

const root = fileURLToPath(new URL('..', import.meta.url))
const pages = [
  'README.md',
  ...pagesIn('docs/guides'),
  ...readdirSync(join(root, 'packages')).flatMap(readmeOf),
]
const workshop = mkdtempSync(join(tmpdir(), 'oncebox-examples-'))

interface Block {
  /** Of the page, from 1. */
  readonly line: number
  readonly code: string
  readonly isShown: boolean
}

interface Module {
  readonly name: string
  readonly blocks: Block[]
}

beforeAll(() => {
  linkPackages()
  writeFileSync(join(workshop, 'package.json'), JSON.stringify({ type: 'module' }))
  writeFileSync(join(workshop, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['**/*'] }))
  for (const page of pages) for (const module of modulesOf(page)) write(page, module)
})

afterAll(() => rmSync(workshop, { recursive: true, force: true }))

test('every example of the guides and READMEs compiles', { timeout: 60_000 }, async () => {
  expect(await compile()).toBe('')
})

test('each guide has an example', () => {
  for (const page of pagesIn('docs/guides')) expect(blocksOf(page).length, page).toBeGreaterThan(0)
})

const compilerOptions = {
  target: 'es2023',
  lib: ['es2023', 'esnext.disposable'],
  module: 'nodenext',
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  allowJs: true,
  checkJs: true,
  skipLibCheck: true,
  noEmit: true,
}

/** What the compiler says; a line of it names the page, and the line there. */
function compile(): Promise<string> {
  const tsc = join(root, 'node_modules/.bin/tsc')
  return new Promise((resolve, reject) => {
    execFile(tsc, ['--pretty', 'false', '-p', '.'], { cwd: workshop }, (error, said) => {
      if (error !== null && said === '') reject(error)
      else resolve(said)
    })
  })
}

function pagesIn(folder: string): string[] {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name}`)
}

function readmeOf(name: string): string[] {
  const page = `packages/${name}/README.md`
  return existsSync(join(root, page)) ? [page] : []
}

/** The packages of the workspace, and what they need, as an application would have them. */
function linkPackages(): void {
  const folders = readdirSync(join(root, 'packages')).map((name) => join(root, 'packages', name))
  for (const folder of folders) {
    const { name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { name: string }
    link(name, folder)
  }
  for (const folder of [root, ...folders]) linkAll(join(folder, 'node_modules'))
}

function linkAll(folder: string, scope = ''): void {
  if (!existsSync(folder)) return
  for (const name of readdirSync(folder)) {
    if (name.startsWith('.')) continue
    if (name.startsWith('@') && scope === '') linkAll(join(folder, name), `${name}/`)
    else link(scope + name, join(folder, name))
  }
}

function link(name: string, target: string): void {
  const path = join(workshop, 'node_modules', name)
  mkdirSync(dirname(path), { recursive: true })
  if (!existsSync(path)) symlinkSync(target, path)
}

function blocksOf(page: string): Block[] {
  const text = readFileSync(join(root, page), 'utf8')
  return [...text.matchAll(/^(```|<!-- )ts\n(.*?)\n(?:```|-->)$/gms)].map(
    ({ 1: fence, 2: code = '', index }) => ({
      line: text.slice(0, index).split('\n').length + 1,
      code,
      isShown: fence === '```',
    }),
  )
}

function modulesOf(page: string): Module[] {
  const modules: Module[] = []
  let hidden: Block[] = []
  for (const block of blocksOf(page)) {
    if (!block.isShown) {
      hidden.push(block)
      continue
    }
    const name = /^\/\/ ([\w./-]+\.m?[tj]s)\b/.exec(block.code)?.[1]
    const last = modules.at(-1)
    const imports = [...hidden, block].some(({ code }) => /^import /m.test(code))
    if (last !== undefined && name === undefined && !imports) last.blocks.push(...hidden, block)
    else modules.push({ name: name ?? `example-${modules.length + 1}.ts`, blocks: [...hidden, block] })
    hidden = []
  }
  return modules
}

/** Each block in the line that it has in its page, so that the compiler names it. */
function write(page: string, { name, blocks }: Module): void {
  const path = join(workshop, page, name)
  let code = ''
  for (const { line, code: more } of blocks) code += '\n'.repeat(line - code.split('\n').length) + more
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${code}\nexport {}\n`)
}
