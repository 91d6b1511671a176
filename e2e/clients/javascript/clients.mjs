// The JavaScript client against colibri: typed and untyped objects, watches, informers, exec, logs, port-forward.
//
// Each check prints "ok - ..." or "not ok - ..."; they build on each other and share a namespace. The client
// is not beside this file: its folder is the first argument.
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { PassThrough } from 'node:stream';
import assert from 'node:assert/strict';
import net from 'node:net';
import { pathToFileURL } from 'node:url';

const require = createRequire(pathToFileURL(process.argv[2] + '/'));
const k8s = await import(pathToFileURL(require.resolve('@kubernetes/client-node')));
const NS = 'javascript';
let failures = 0;

async function check(name, run) {
    const begin = Date.now();
    const late = sleep(60000, null, { ref: false }).then(() => { throw new Error('not done after a minute'); });
    try {
        await Promise.race([run(), late]);
        console.log(`ok - javascript: ${name} (${((Date.now() - begin) / 1000).toFixed(1)} s)`);
    } catch (e) {
        failures++;
        console.log(`not ok - javascript: ${name}\n    ${String(e.stack ?? e).replaceAll('\n', '\n    ')}`);
    }
}

async function until(condition, seconds = 30) {
    for (const end = Date.now() + seconds * 1000; ;) {
        const result = await condition();
        if (result) return result;
        assert(Date.now() < end, `still not after ${seconds} s: ${condition}`);
        await sleep(50);
    }
}

const fails = (code, call) => assert.rejects(call, (e) => (e.code === code ? true : assert.fail(`${e.code}: ${e.body}`)));

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const untyped = k8s.KubernetesObjectApi.makeApiClient(config);
const map = (name, data) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: NS }, data });
const pod = {
    metadata: { name: 'p' },
    spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{
            name: 'c', image: 'busybox:1',
            command: ['sh', '-c', 'mkdir /w; echo page > /w/index.html; echo one; echo two; exec httpd -f -p 8080 -h /w'],
        }],
    },
};

await check('typed objects', async () => {
    await core.createNamespace({ body: { metadata: { name: NS } } });
    await until(async () => (await core.listNamespacedServiceAccount({ namespace: NS })).items.length);
    await core.createNamespacedPod({ namespace: NS, body: pod });
    const secret = await core.createNamespacedSecret({ namespace: NS, body: { metadata: { generateName: 's-' }, stringData: { a: 'b' } } });
    assert.deepEqual(secret.data, { a: 'Yg==' });
    assert(secret.metadata.creationTimestamp instanceof Date);
});
await check('errors have a code', async () => {
    await fails(404, core.readNamespacedPod({ name: 'absent', namespace: NS }));
    await fails(409, core.createNamespace({ body: { metadata: { name: NS } } }));
    await fails(422, core.createNamespacedService({ namespace: NS, body: { metadata: { name: 'x' }, spec: {} } }));
});
await check('a watch', async () => {
    const seen = [];
    const { metadata: { resourceVersion } } = await core.listNamespacedConfigMap({ namespace: NS });
    const request = await new k8s.Watch(config).watch(`/api/v1/namespaces/${NS}/configmaps`, { resourceVersion, allowWatchBookmarks: true },
        (type, object) => { if (object.metadata.name === 'w') seen.push(type); }, () => {});
    await core.createNamespacedConfigMap({ namespace: NS, body: map('w', {}) });
    await core.deleteNamespacedConfigMap({ name: 'w', namespace: NS });
    await until(() => seen.length === 2);
    request.abort();
    assert.deepEqual(seen, ['ADDED', 'DELETED']);
});
await check('informers, one of them with a selector, and after a cut', async () => {
    const seen = [];
    const informers = [undefined, 'on=yes'].map((selector) => k8s.makeInformer(config, `/api/v1/namespaces/${NS}/configmaps`,
        () => core.listNamespacedConfigMap({ namespace: NS, labelSelector: selector }), selector));
    const [all, some] = informers;
    for (const verb of ['add', 'update', 'delete']) some.on(verb, (o) => seen.push(`${verb} ${o.metadata.name}`));
    for (const informer of informers) {
        informer.on('error', (e) => e.name === 'AbortError' || seen.push(`error ${e}`)); // stop() aborts
        await informer.start();
    }
    await core.createNamespacedConfigMap({ namespace: NS, body: map('i', { a: 'b' }) });
    await until(() => all.get('i', NS));
    await untyped.patch({ ...map('i'), metadata: { name: 'i', namespace: NS, labels: { on: 'yes' } } }, undefined, undefined, undefined,
        undefined, k8s.PatchStrategy.MergePatch);
    await until(() => some.get('i', NS)?.data.a === 'b');
    await untyped.patch({ ...map('i', { a: 'c' }) });
    await until(() => some.get('i', NS).data.a === 'c');
    await untyped.patch({ ...map('i'), metadata: { name: 'i', namespace: NS, labels: { on: null } } }, undefined, undefined, undefined,
        undefined, k8s.PatchStrategy.MergePatch);
    await until(() => seen.includes('delete i'));
    assert(all.get('i', NS));
    for (const informer of informers) await informer.stop();
    await core.createNamespacedConfigMap({ namespace: NS, body: map('j', {}) });
    await all.start();
    await until(() => all.get('j', NS));
    await all.stop();
    assert.deepEqual(seen, ['add i', 'update i', 'delete i']);
});
await check('untyped objects of a definition', async () => {
    const schema = { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: { legs: { type: 'integer', _default: 4 } } } } } };
    await untyped.create({
        apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name: 'cats.javascript.example.com' },
        spec: {
            group: 'javascript.example.com', scope: 'Namespaced', names: { plural: 'cats', singular: 'cat', kind: 'Cat', listKind: 'CatList' },
            versions: [{ name: 'v1', served: true, storage: true, schema }],
        },
    });
    const cat = { apiVersion: 'javascript.example.com/v1', kind: 'Cat', metadata: { name: 'c', namespace: NS }, spec: {} };
    const made = await until(() => untyped.create(cat).catch(() => k8s.KubernetesObjectApi.makeApiClient(config).create(cat).catch(() => null)));
    assert.equal(made.spec.legs, 4);
    const applied = { ...cat, spec: { legs: 3 } };
    await fails(409, untyped.patch({ ...cat, spec: { legs: 5 } }, undefined, undefined, 'a', false, k8s.PatchStrategy.ServerSideApply).then(
        () => untyped.patch(applied, undefined, undefined, 'b', false, k8s.PatchStrategy.ServerSideApply)));
    await untyped.patch(applied, undefined, undefined, 'b', true, k8s.PatchStrategy.ServerSideApply);
    assert.equal((await untyped.read(cat)).spec.legs, 3);
    assert.equal((await untyped.list('javascript.example.com/v1', 'Cat', NS)).items.length, 1);
    await untyped.delete(cat);
});
await check('a Deployment, scaled', async () => {
    const labels = { app: 'd' };
    await apps.createNamespacedDeployment({
        namespace: NS,
        body: { metadata: { name: 'd' }, spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod.spec } } },
    });
    await until(async () => { // its controller writes the same object
        const scale = await apps.readNamespacedDeploymentScale({ name: 'd', namespace: NS });
        scale.spec.replicas = 2;
        return apps.replaceNamespacedDeploymentScale({ name: 'd', namespace: NS, body: scale }).catch((e) => assert.equal(e.code, 409));
    });
    await until(async () => (await apps.readNamespacedDeployment({ name: 'd', namespace: NS })).status.readyReplicas === 2);
    await apps.deleteNamespacedDeployment({ name: 'd', namespace: NS, propagationPolicy: 'Foreground' });
    await until(async () => !(await core.listNamespacedPod({ namespace: NS, labelSelector: 'app=d' })).items.length);
});

// text gathers a stream
function text() {
    const s = new PassThrough();
    s.text = '';
    s.on('data', (chunk) => { s.text += chunk; });
    return s;
}
await check('logs, followed', async () => {
    await until(async () => (await core.readNamespacedPod({ name: 'p', namespace: NS })).status.phase === 'Running');
    const out = text();
    const request = await new k8s.Log(config).log(NS, 'p', 'c', out, { follow: true });
    await until(() => out.text === 'one\ntwo\n');
    request.abort();
});
await check('exec, with input and an exit code', async () => {
    const out = text(), err = text(), input = new PassThrough();
    input.write('line\n');
    const status = await new Promise((resolve, reject) => {
        new k8s.Exec(config).exec(NS, 'p', 'c', ['sh', '-c', 'read x; echo got $x; echo bad >&2; exit 3'], out, err, input, false, resolve).catch(reject);
    });
    assert.deepEqual([out.text, err.text, status.details.causes[0].message], ['got line\n', 'bad\n', '3']);
});
await check('port-forward', async () => {
    const forward = new k8s.PortForward(config);
    const server = net.createServer((socket) => forward.portForward(NS, 'p', [8080], socket, null, socket));
    await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    for (let i = 0; i < 3; i++) {
        const answer = await new Promise((resolve, reject) => {
            const socket = net.connect(server.address().port, '127.0.0.1', () => socket.write('GET / HTTP/1.0\r\n\r\n'));
            let got = '';
            socket.on('data', (chunk) => { if ((got += chunk).endsWith('page\n')) resolve(got) || socket.destroy(); });
            socket.on('error', reject);
        });
        assert.match(answer, /200 OK/);
    }
    server.close();
});
await check('the namespace goes', async () => {
    await untyped.delete({ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name: 'cats.javascript.example.com' } });
    await core.deleteNamespace({ name: NS });
});
process.exit(failures ? 1 : 0);
