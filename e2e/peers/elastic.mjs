// A session of the official JavaScript client against a server that holds the
// records which it writes itself. See npm.sh.
import assert from 'node:assert/strict'
import { Client } from '@elastic/elasticsearch'

const { URL: node, TOKEN: password } = process.env
const es = new Client({ node, auth: { username: 'anyone', password }, compression: true })
const index = 'js-' + Date.now()

assert.equal((await es.info()).tagline, 'You Know, for Search')
const operations = []
for (let i = 0; i < 30; i++) {
  operations.push({ create: { _index: index } }, {
    '@timestamp': new Date(Date.UTC(2026, 10, 20, 12, i)).toISOString(),
    message: `request ${i} timed out`, service: `s${i % 3}`, status: 200 + (i % 2) * 300
  })
}
assert.equal((await es.bulk({ operations })).errors, false)
assert.equal(await es.indices.exists({ index }), true)
assert.equal(await es.indices.exists({ index: index + '-not' }), false)
assert.equal((await es.count({ index })).count, 30)

const found = await es.search({
  index,
  size: 5,
  query: { bool: { must: { match: { message: 'TIMED' } }, filter: { term: { status: 500 } } } },
  sort: [{ '@timestamp': 'desc' }],
  aggs: { by: { terms: { field: 'service.keyword' }, aggs: { over: { date_histogram: { field: '@timestamp', fixed_interval: '10m' } } } } }
})
assert.equal(found.hits.total.value, 15)
assert.equal(found.hits.hits[0]._source.message, 'request 29 timed out')
assert.equal(found.aggregations.by.buckets.length, 3)

let n = 0
for await (const doc of es.helpers.scrollDocuments({ index, size: 7, query: { match_all: {} } })) n += doc.service ? 1 : 0
assert.equal(n, 30)

const pit = await es.openPointInTime({ index, keep_alive: '1m' })
let after, seen = 0
for (;;) {
  const page = await es.search({ pit: { id: pit.id }, size: 8, sort: [{ '@timestamp': 'asc' }], search_after: after })
  if (page.hits.hits.length === 0) break
  seen += page.hits.hits.length
  after = page.hits.hits.at(-1).sort
}
assert.equal(seen, 30)
assert.equal((await es.closePointInTime({ id: pit.id })).num_freed, 1)

const caps = await es.fieldCaps({ index, fields: ['@timestamp', 'status'] })
assert.ok(caps.fields['@timestamp'].date && caps.fields.status.long)
assert.equal((await es.indices.getMapping({ index }))[index].mappings.properties['@timestamp'].type, 'date')
assert.ok((await es.cat.indices({ format: 'json' })).some(i => i.index === index))
const both = await es.msearch({ searches: [{ index }, { size: 0 }, { index: 'nope' }, {}] })
assert.equal(both.responses[0].hits.total.value, 30)
assert.equal(both.responses[1].status, 404)
await assert.rejects(es.search({ index: 'nope' }), e => e.statusCode === 404 && e.message.includes('index_not_found_exception'))
console.log('ok: the JavaScript client wrote and read', index)
