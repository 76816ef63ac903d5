// Loggers of JavaScript send records in their own protocols to a server, and all
// are asked for afterwards. See npm.sh.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { Client } from '@elastic/elasticsearch'

const require = createRequire(import.meta.url)
const { URL: node, TOKEN: token } = process.env
const auth = { username: 'anyone', password: token }
const n = 500

const shippers = {
  // The official client, document by document, as programs without a shipper do.
  async elasticsearch (say) {
    const es = new Client({ node, auth, compression: true })
    for (let i = 0; i < n; i += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, k) => es.index({ index: 'js', document: say(i + k) })))
    }
    const twice = { index: 'js-once', id: 'a', document: { message: 'once' } }
    assert.equal((await es.create(twice)).result, 'created')
    await assert.rejects(es.create(twice), e => e.statusCode === 409)
    assert.equal((await es.update({ index: 'js-once', id: 'b', doc: { message: 'updated' } })).result, 'updated')
    await assert.rejects(es.delete({ index: 'js-once', id: 'a' }), e => e.statusCode === 400)
    assert.equal((await es.indices.create({ index: 'js-new', aliases: { 'js-alias': {} } })).acknowledged, true)
    assert.equal(await es.indices.existsAlias({ name: 'js-alias' }), true)
    assert.equal((await es.indices.putIndexTemplate({ name: 'js', index_patterns: ['js*'] })).acknowledged, true)
    assert.equal(await es.indices.existsIndexTemplate({ name: 'js' }), true)
    assert.equal((await es.indices.getIndexTemplate()).index_templates[0].name, 'js')
    assert.equal((await es.ingest.putPipeline({ id: 'js', processors: [] })).acknowledged, true)
    assert.equal((await es.cluster.putSettings({ persistent: {} })).acknowledged, true)
    assert.equal((await es.security.authenticate()).enabled, true)
    assert.equal((await es.license.get()).license.status, 'active')
  },

  async 'elasticsearch bulk helper' (say) {
    const es = new Client({ node, auth })
    const done = await es.helpers.bulk({
      datasource: Array.from({ length: n }, (_, i) => say(i)), flushBytes: 20000, onDocument: () => ({ create: { _index: 'js' } })
    })
    assert.deepEqual([done.successful, done.failed], [n, 0])
  },

  async 'pino-elasticsearch' (say) {
    const { default: elastic } = await import('pino-elasticsearch')
    const { default: pino } = await import('pino')
    const out = elastic({ node, auth, index: 'pino', esVersion: 8, flushBytes: 1000, flushInterval: 200 })
    let failed
    for (const bad of ['error', 'insertError', 'unknown']) out.on(bad, err => { failed = err })
    const log = pino(out)
    for (let i = 0; i < n; i++) { const { message, ...rest } = say(i); log.info(rest, message) }
    await new Promise(resolve => setTimeout(resolve, 500))
    out.end()
    await new Promise(resolve => setTimeout(resolve, 2000))
    assert.equal(failed, undefined)
  },

  async 'winston-elasticsearch' (say) {
    const { createLogger } = require('winston')
    const { ElasticsearchTransport } = require('winston-elasticsearch')
    const transport = new ElasticsearchTransport({ index: 'winston', clientOpts: { node, auth }, flushInterval: 200, buffering: true })
    const failed = new Promise((resolve, reject) => transport.on('error', reject))
    const log = createLogger({ transports: [transport] })
    for (let i = 0; i < n; i++) { const { message, ...rest } = say(i); log.info(message, rest) }
    await Promise.race([failed, new Promise(resolve => setTimeout(resolve, 1500)).then(() => transport.flush())])
  },

  async 'datadog-api-client' (say) {
    const { client, v2 } = require('@datadog/datadog-api-client')
    const config = client.createConfiguration({ authMethods: { apiKeyAuth: token }, baseServer: new client.BaseServerConfiguration(node, {}) })
    const api = new v2.LogsApi(config)
    for (const contentEncoding of [undefined, 'gzip', 'deflate']) {
      const body = Array.from({ length: contentEncoding ? n / 5 : n * 3 / 5 }, (_, i) => {
        const { message, ...rest } = say(contentEncoding === 'gzip' ? n * 3 / 5 + i : contentEncoding ? n * 4 / 5 + i : i)
        return { message, ddsource: 'node', ddtags: 'env:test,team:a', hostname: 'h', service: 'web', additionalProperties: rest }
      })
      assert.deepEqual(await api.submitLog({ contentEncoding, body }), {})
    }
    const bad = client.createConfiguration({ authMethods: { apiKeyAuth: 'wrong' }, baseServer: new client.BaseServerConfiguration(node, {}) })
    await assert.rejects(new v2.LogsApi(bad).submitLog({ body: [{ message: 'x' }] }), e => e.code === 403)
    const v1 = require('@datadog/datadog-api-client').v1
    assert.equal((await new v1.AuthenticationApi(config).validate()).valid, true)
  },

  async 'splunk-logging' (say) {
    const { Logger } = require('splunk-logging')
    const logger = new Logger({ token, url: node, maxBatchCount: 60, maxRetries: 3 })
    let failed
    logger.error = err => { failed = err }
    for (let i = 0; i < n; i++) logger.send({ message: say(i), severity: 'info', metadata: { source: 'js', sourcetype: '_json', index: 'main', host: 'h' } })
    await new Promise((resolve, reject) => logger.flush((err, resp, body) => err || body.code !== 0 ? reject(err || body) : resolve()))
    await new Promise(resolve => setTimeout(resolve, 500))
    assert.equal(failed, undefined)
  }
}

const ask = new Client({ node, auth })
for (const [name, send] of Object.entries(shippers)) {
  const id = name.replaceAll(/\W/g, '')
  await send(i => ({ message: `${id} says ${i}`, shipper: id, number: i }))
  const query = encodeURIComponent(`{} |= "${id} says "`)
  const answer = await fetch(`${node}/api/v1/query?limit=0&from=2000-01-01T00:00:00Z&to=2100-01-01T00:00:00Z&query=${query}`, { headers: { Authorization: `Bearer ${token}` } })
  const text = await answer.text()
  assert.equal(answer.status, 200, text)
  const seen = {}
  for (const [, k] of text.matchAll(/ says (\d+)/g)) seen[k] = (seen[k] ?? 0) + 1
  assert.equal(Object.keys(seen).length, n, `${name}: ${Object.keys(seen).length} of ${n}`)
  console.log(`ok: ${name} sent ${n} records`)
}
await ask.close()
process.exit(0)
