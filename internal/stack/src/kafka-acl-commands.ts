/** `kafka-acls` commands as a document shows them: whoever pastes them gets what the tests run. */
import type { Acl } from './kafka-acls.js'

/** The commands of a document that allow something to a user, as lists of arguments. */
export const aclCommandsFor = (document: string, user: string): string[][] => {
  const lines = document.replaceAll('\\\n', ' ').split('\n')
  const commands = lines
    .map((line) => line.split(/\s+/))
    .filter(([program]) => program === 'bin/kafka-acls.sh')
  return commands
    .map((command) => command.slice(1))
    .filter((args) => valuesOf(args, '--allow-principal').includes(`User:${user}`))
}

const valuesOf = (args: readonly string[], option: string): string[] =>
  args.flatMap((word, index) => (word === option ? [args[index + 1] ?? ''] : []))

/** What a command adds, one ACL for each operation on each resource. */
export const aclsOf = (command: readonly string[]): Acl[] => {
  const [principal = ''] = valuesOf(command, '--allow-principal')
  const prefixed = valuesOf(command, '--resource-pattern-type').includes('prefixed')
  const resources = (['topic', 'group', 'transactional-id'] as const).flatMap((resource) =>
    valuesOf(command, `--${resource}`).map((name) => ({ resource, name })),
  )
  return valuesOf(command, '--operation').flatMap((operation) =>
    resources.map((one) => ({
      ...one,
      user: principal.replace('User:', ''),
      operation: operation as Acl['operation'], // a word that the broker refuses when it is none
      prefixed,
    })),
  )
}
