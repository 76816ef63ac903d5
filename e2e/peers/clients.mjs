// Client libraries of JavaScript as programs of their own: the first argument names
// one, and it sends numbered records over some seconds and then ends. See
// clients_test.go. What is set here is what makes each try again until it is heard.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const require = createRequire(join(process.env.PEERS_NPM, 'x.js'))
const [, , name, host, port, token] = process.argv
const n = Number(process.env.RECORDS)
const node = `http://${host}:${port}`
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))
const record = i => ({ '@timestamp': new Date().toISOString(), n: i, message: `peer-${String(i).padStart(6, '0')}- took ${i % 97} ms`, app: 'peers' })

// records gives the records as they happen: 2,000 a second.
async function * records () {
  for (let i = 0; i < n; i++) {
    if (i % 20 === 0) await pause(10)
    yield record(i)
  }
}

const clients = {
  async '@elastic/elasticsearch' () {
    const { Client } = require('@elastic/elasticsearch')
    const es = new Client({ node, auth: { username: 'any', password: token }, maxRetries: 1000, retryBackoff: () => 200, requestTimeout: 5000 })
    const done = await es.helpers.bulk({
      datasource: records(), flushBytes: 20_000, retries: 1000, wait: 200, concurrency: 3,
      onDocument: doc => ({ create: { _index: 'peers', _id: String(doc.n) } })
    })
    if (done.failed > 0) throw new Error(JSON.stringify(done))
  },

  async '@fluent-org/logger' () {
    const { FluentClient } = require('@fluent-org/logger')
    const log = new FluentClient('peers', {
      eventMode: 'CompressedPackedForward', socket: { host, port: Number(port), timeout: 3000, reconnect: { attempts: 1000, minDelay: 100, maxDelay: 500 } },
      ack: { ackTimeout: 3000 }, eventRetry: { attempts: 1000, minDelay: 100, maxDelay: 500 },
      flushInterval: 100, sendQueueIntervalFlushLimit: { size: 1 << 20, length: 500 }
    })
    const sent = []
    for await (const r of records()) sent.push(log.emit(r))
    await Promise.all(sent)
    await log.shutdown()
  },

  async 'winston-loki' () {
    const { createLogger, format } = require('winston')
    const Loki = require('winston-loki')
    const transport = new Loki({
      host: node, basicAuth: `any:${token}`, labels: { app: 'peers' }, interval: 0.3, json: false, format: format.json(),
      clearOnError: false, replaceTimestamp: false, timeout: 5000, onConnectionError: err => console.error(String(err))
    })
    const log = createLogger({ transports: [transport] })
    for await (const r of records()) log.info(r.message, { n: r.n })
    await transport.flush()
    log.close()
  },

  async '@opentelemetry/exporter-logs-otlp-proto' () {
    const { LoggerProvider, BatchLogRecordProcessor } = require('@opentelemetry/sdk-logs')
    const { OTLPLogExporter } = require('@opentelemetry/exporter-logs-otlp-proto')
    const exporter = new OTLPLogExporter({ url: `${node}/v1/logs`, headers: { Authorization: `Bearer ${token}` }, timeoutMillis: 30_000 })
    const processor = new BatchLogRecordProcessor({ exporter, maxQueueSize: n, scheduledDelayMillis: 200, exportTimeoutMillis: 30_000 })
    const log = new LoggerProvider({ processors: [processor] }).getLogger('peers')
    for await (const r of records()) log.emit({ body: r.message, attributes: { n: r.n } })
    await processor.forceFlush()
    await processor.shutdown()
  },

  async zipkin () {
    const { BatchRecorder, ExplicitContext, Tracer, jsonEncoder } = require('zipkin')
    const { HttpLogger } = require('zipkin-transport-http')
    const logger = new HttpLogger({
      endpoint: `${node}/api/v2/spans`, jsonEncoder: jsonEncoder.JSON_V2, httpInterval: 100, headers: { Authorization: `Bearer ${token}` }
    })
    logger.on('error', err => console.error(String(err)))
    const tracer = new Tracer({ ctxImpl: new ExplicitContext(), recorder: new BatchRecorder({ logger }), localServiceName: 'peers' })
    for await (const r of records()) tracer.local(r.message, () => {})
    await pause(1000)
    process.exit(0) // its timer never ends
  },

  async 'splunk-logging' () {
    const { Logger } = require('splunk-logging')
    const log = new Logger({ token, url: node, maxRetries: 100, batchInterval: 200, maxBatchCount: 0 })
    let open = 0
    log.error = err => console.error(String(err))
    for await (const r of records()) log.send({ message: r, time: Date.now() / 1000 }, () => { open-- })
    await new Promise(resolve => log.flush(resolve))
    await pause(3000)
  }
}

if (name === '--version') console.log(JSON.parse(readFileSync(join(process.env.PEERS_NPM, 'node_modules', process.argv[3], 'package.json'))).version)
else await clients[name]()
