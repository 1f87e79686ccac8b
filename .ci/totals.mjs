// Prints `N passed, N failed` from vitest's JSON report. Exits 1 when a test failed or none ran.
import { readFileSync } from 'node:fs'

let report
try {
  report = JSON.parse(readFileSync(process.argv[2], 'utf8'))
} catch {
  console.log('0 passed, 1 failed')
  process.exit(1)
}
// A file that could not be loaded has no tests of its own; it counts as one failure.
const broken = report.testResults.filter(
  (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status === 'passed'),
)
const passed = report.numPassedTests
const failed = report.numFailedTests + broken.length
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 && passed > 0 ? 0 : 1)
