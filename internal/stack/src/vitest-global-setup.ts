/** Vitest's global set-up: one stack for all test files of a run, or the one that environment variables name. */
import { toEnvironment } from './environment.js'
import { startStack } from './stack.js'

/** Called by vitest before the first test file; what it returns is called after the last one. */
export default async function setup(): Promise<() => Promise<void>> {
  const stack = await startStack()
  // Workers are started later and inherit these, where sharedStack() finds them.
  Object.assign(process.env, toEnvironment(stack.addresses))
  return () => stack.stop()
}
