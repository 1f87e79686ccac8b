import { readAddresses } from './environment.js'
import { asRunningStack, type RunningStack } from './running-stack.js'
import { StackError } from './stack-error.js'

/** The stack that all files of one vitest run share, as its global set-up started it. */
export const sharedStack = (): RunningStack => {
  const addresses = readAddresses()
  if (Object.keys(addresses).length === 0) {
    throw new StackError('STACK_NOT_SHARED', 'no stack is running for this process')
  }
  return asRunningStack(addresses)
}
