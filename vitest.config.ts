import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

// The longest: with each, one worker would be busy alone at the end.
const longest = [
  'a-killed-relay-process-loses-and-doubles-nothing',
  'a-killed-relay-loses-and-doubles-no-dead-letter',
  'consumers-keep-their-promises-whatever-kills-them',
  'adopt-ends-what-kafka-left-half-ended',
  'the-demo-holds-under-kills',
  'a-lost-broker-never-turns-unknown-into-failure',
  'our-session-conforms',
  'a-failed-over-or-restored-database-goes-on',
]

/** Vitest knows how long a file takes only where it has run before. Else it begins with the largest, and these are small. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): boolean =>
      longest.some((name) => moduleId.includes(name))
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

// unit: beside the source, no services. int: the promises, on real PostgreSQL, Kafka and Redis. types: compile errors that users should get.
export default defineConfig({
  test: {
    reporters: process.env['CI'] ? ['default', 'json'] : ['default'],
    sequence: { sequencer: LongestFirst },
    outputFile: { json: '.test-results/results.json' },
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            '{packages,internal}/*/src/**/*.test.ts',
            'conformance/src/**/*.test.ts',
            'docs/*.test.ts',
          ],
        },
      },
      {
        test: {
          name: 'int',
          globalSetup: ['./internal/stack/dist/vitest-global-setup.js'],
          include: [
            '{packages,internal,examples}/*/test/**/*.int.test.ts',
            '{conformance,chaos}/test/**/*.int.test.ts',
          ],
          testTimeout: 240_000,
          hookTimeout: 300_000,
          maxWorkers: 3, // they mostly wait, on two cores and up
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'types',
          include: [],
          typecheck: {
            enabled: true,
            only: true,
            include: ['packages/*/test/**/*.test-d.ts'],
            tsconfig: 'tsconfig.tests.json',
          },
        },
      },
    ],
  },
})
