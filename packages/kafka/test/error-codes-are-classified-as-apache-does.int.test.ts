import { runJavaProgram } from '@internal/audit'
import { sharedStack } from '@internal/stack'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { errorCode } from '../src/protocol/error-codes.js'
import { failureClassOf } from '../src/protocol/failure-class.js'

test("every error code has the name and the class that Apache's own client gives it", async () => {
  const output = await runJavaProgram({
    classpath: sharedStack().kafka.classpath,
    source: fileURLToPath(new URL('java/ErrorCodes.java', import.meta.url)),
    arguments: [],
  })
  const theirs = output.toString().trim().split('\n')
  const ours = Object.entries(errorCode).map(([name, code]) => `${code} ${name} ${failureClassOf(code)}`)
  expect(ours).toEqual(theirs)
})

test('a code that nobody has classified is fatal', () => {
  expect(failureClassOf(30_000)).toBe('fatal')
})
