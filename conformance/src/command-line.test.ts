import { expect, test } from 'vitest'
import { cases } from './cases/index.js'
import { parseCommand, usage, WrongUse } from './command-line.js'

test('without options everything is played', () => {
  const command = parseCommand([])
  expect(command).toMatchObject({ wanted: false, kafkaVersions: ['4.3', '3.9'], cases })
})

test('clients, cases and versions are chosen by name', () => {
  const args = ['--client', 'oncebox', '--case', 'restart', '--case', 'late-endtxn', '--kafka', '3.9']
  expect(parseCommand(args)).toMatchObject({
    wanted: true,
    clients: [{ name: 'oncebox' }],
    cases: [{ name: 'late-endtxn' }, { name: 'restart' }],
    kafkaVersions: ['3.9'],
  })
})

test.each([
  [['--client', 'nobody'], 'there is no client "nobody"'],
  [['--case', 'nothing'], 'there is no case "nothing"'],
  [['--kafka', '2.0'], 'there is no Kafka version "2.0"'],
  [['--fast'], '--fast'],
  [['oncebox'], 'oncebox'],
])('%s is wrong use', (args, message) => {
  expect(() => parseCommand(args)).toThrow(WrongUse)
  expect(() => parseCommand(args)).toThrow(message)
})

test('the help names every case, and no two have the same name', () => {
  expect(parseCommand(['--help'])).toBe('help')
  for (const { name, promise } of cases) expect(usage).toMatch(new RegExp(`^  ${name} +${promise[0]}`, 'm'))
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
})
