// Runs a function's handler: asks the Runtime API for events and answers them.

import http from 'node:http'
import fs from 'node:fs'
import path from 'node:path'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { format } from 'node:util'

const [host, ...rest] = process.env.AWS_LAMBDA_RUNTIME_API.split('/')
const prefix = ['', ...rest, '2018-06-01', 'runtime', ''].join('/')
const [hostname, port] = host.split(':')
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
let requestId

class Fault extends Error {
  constructor (kind, message, trace) {
    super(message)
    this.name = kind
    if (trace) this.stack = trace
  }
}

function call (method, route, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const bytes = Buffer.from(body ?? '')
    const request = http.request(
      { hostname, port, path: prefix + route, method, agent, headers: { ...headers, 'Content-Length': bytes.length } },
      (answer) => {
        const parts = []
        answer.on('data', (part) => parts.push(part))
        answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) }))
        answer.on('error', reject)
      })
    request.on('error', reject)
    request.end(bytes)
  })
}

// One log event, of several lines or not. Written at once, so that it comes before the answer.
function write (text) {
  const bytes = Buffer.from(text.replace(/\n/g, '\r') + '\n')
  for (let at = 0; at < bytes.length;) {
    try {
      at += fs.writeSync(1, bytes, at)
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error
    }
  }
}

function startConsole () {
  const levels = { log: 'INFO', info: 'INFO', debug: 'DEBUG', warn: 'WARN', error: 'ERROR', trace: 'TRACE' }
  for (const [name, level] of Object.entries(levels)) {
    console[name] = (...values) => {
      write(`${new Date().toISOString()}\t${requestId ?? 'undefined'}\t${level}\t${format(...values)}`)
    }
  }
}

function describe (thrown) {
  if (thrown instanceof Error) {
    const trace = (thrown.stack ?? `${thrown.name}: ${thrown.message}`).split('\n')
    return { errorType: thrown.name, errorMessage: thrown.message, trace }
  }
  return { errorType: typeof thrown, errorMessage: String(thrown), trace: [] }
}

function logError (what, described) {
  write(`${new Date().toISOString()}\t${requestId ?? 'undefined'}\tERROR\t${what}\t${JSON.stringify({
    errorType: described.errorType, errorMessage: described.errorMessage, stack: described.trace
  })}`)
}

function isPackageOfModules (folder, root) {
  for (;;) {
    const file = path.join(folder, 'package.json')
    if (fs.existsSync(file)) {
      try {
        return JSON.parse(fs.readFileSync(file, 'utf8')).type === 'module'
      } catch {
        return false
      }
    }
    if (folder === root || folder === path.dirname(folder)) return false
    folder = path.dirname(folder)
  }
}

async function load (root, module) {
  const base = path.resolve(root, module)
  const require = createRequire(path.join(root, 'bootstrap.cjs'))
  for (const ending of ['', '.js', '.mjs', '.cjs']) {
    const file = base + ending
    if (!fs.existsSync(file) || !fs.statSync(file).isFile()) continue
    const modules = ending === '.mjs' || (ending === '.js' && isPackageOfModules(path.dirname(file), root))
    return modules ? await import(pathToFileURL(file).href) : require(file)
  }
  try {
    return require(require.resolve(module, { paths: [root, ...(process.env.NODE_PATH ?? '').split(':')] }))
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error
    throw new Fault('Runtime.ImportModuleError', `Error: Cannot find module '${module}'\nRequire stack:\n- bootstrap`)
  }
}

async function findHandler (name) {
  const root = process.env.LAMBDA_TASK_ROOT
  const folder = path.dirname(name)
  const match = /^([^.]*)\.(.*)$/.exec(path.basename(name))
  if (name.includes('..') || !match) throw new Fault('Runtime.MalformedHandlerName', 'Bad handler')
  let module
  try {
    module = await load(root, path.join(folder, match[1]))
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new Fault('Runtime.UserCodeSyntaxError', String(error), error.stack)
    }
    if (error?.code === 'MODULE_NOT_FOUND' || error?.code === 'ERR_MODULE_NOT_FOUND') {
      throw new Fault('Runtime.ImportModuleError', String(error), error.stack)
    }
    throw error
  }
  const find = (from) => match[2].split('.').reduce((found, part) => found?.[part], from)
  const found = find(module) ?? find(module.default)
  if (found === undefined) throw new Fault('Runtime.HandlerNotFound', `${name} is undefined or not exported`)
  if (typeof found !== 'function') throw new Fault('Runtime.HandlerNotFound', `${name} is not a function`)
  return found
}

function contextOf (headers, settle) {
  const env = process.env
  const deadline = Number(headers['lambda-runtime-deadline-ms'])
  const json = (name) => headers[name] ? JSON.parse(headers[name]) : undefined
  const context = {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: json('lambda-runtime-client-context'),
    identity: json('lambda-runtime-cognito-identity'),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    getRemainingTimeInMillis: () => deadline - Date.now()
  }
  context.succeed = (value) => settle.now(null, value)
  context.fail = (error) => settle.now(error ?? 'handled')
  context.done = (error, value) => settle.callback(error, value, context)
  return context
}

// The promise of an answer, and the ways to settle it.
function settling () {
  const settle = {}
  settle.promise = new Promise((resolve, reject) => {
    settle.now = (error, value) => (error ? reject(error) : resolve(value))
    settle.callback = (error, value, context) => {
      // An error does not wait for the event loop, and neither does who asked not to.
      if (error || !context.callbackWaitsForEmptyEventLoop) settle.now(error, value)
      else settle.later = () => settle.now(null, value)
    }
    settle.whenEmpty = () => (settle.later ?? (() => resolve(null)))()
  })
  return settle
}

async function invoke (handler, event, headers) {
  const settle = settling()
  const context = contextOf(headers, settle)
  process.once('beforeExit', settle.whenEmpty)
  try {
    const result = handler(event, context, (error, value) => settle.callback(error, value, context))
    if (typeof result?.then === 'function') return await result
    return await settle.promise
  } finally {
    process.removeListener('beforeExit', settle.whenEmpty)
  }
}

function encode (answer) {
  try {
    return JSON.stringify(answer === undefined ? null : answer) ?? 'null'
  } catch (error) {
    throw new Fault('Runtime.MarshalError', `Unable to stringify response body: ${error.message}`)
  }
}

async function fail (route, what, thrown) {
  const described = describe(thrown)
  logError(what, described)
  await call('POST', route, JSON.stringify(described), { 'Lambda-Runtime-Function-Error-Type': described.errorType })
}

async function serveOne (handler) {
  const { headers, body } = await call('GET', 'invocation/next')
  requestId = headers['lambda-runtime-aws-request-id']
  if (headers['lambda-runtime-trace-id']) process.env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id']
  else delete process.env._X_AMZN_TRACE_ID
  let answer
  try {
    answer = encode(await invoke(handler, JSON.parse(body.toString('utf8')), headers))
  } catch (thrown) {
    return await fail(`invocation/${requestId}/error`, 'Invoke Error', thrown)
  }
  await call('POST', `invocation/${requestId}/response`, answer, { 'Content-Type': 'application/json' })
}

function route () {
  return requestId ? `invocation/${requestId}/error` : 'init/error'
}

process.on('uncaughtException', (thrown) => {
  fail(route(), 'Uncaught Exception', thrown).finally(() => process.exit(129))
})
process.on('unhandledRejection', (reason) => {
  const fault = new Fault('Runtime.UnhandledPromiseRejection', String(reason), reason?.stack)
  fail(route(), 'Unhandled Promise Rejection', fault).finally(() => process.exit(128))
})

startConsole()
let handler
try {
  handler = await findHandler(process.env._HANDLER)
} catch (thrown) {
  await fail('init/error', 'Uncaught Exception', thrown)
  process.exit(1)
}
for (;;) await serveOne(handler)
