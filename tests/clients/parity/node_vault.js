// node-vault, the client that JavaScript programs use: one line of JSON for each step, with what the call returned or raised.
//
//     node node_vault.js PACKAGE ADDRESS TOKEN
"use strict";

const [, , location, endpoint, root] = process.argv;
// A client takes the token of an answer that hands one out for its own: those steps have a client each.
const connect = (token) => require(location)({ apiVersion: "v1", endpoint, token });

async function step(name, run) {
    let what;
    try {
        const returned = await run();
        what = { returned: returned === undefined ? null : returned };
    } catch (error) {
        what = { raised: error.constructor.name, text: error.message, status: error.response ? error.response.statusCode : null };
    }
    process.stdout.write(JSON.stringify({ name: `node-vault ${name}`, ...what }) + "\n");
    return what.returned;
}

async function main() {
    const vault = connect(root);
    await step("status", () => vault.status());
    await step("initialized", () => vault.initialized());
    await step("health", () => vault.health());
    await step("leader", () => vault.leader());
    await step("mount", () => vault.mount({ mount_point: "js1", type: "kv", description: "of js", options: { version: "1" } }));
    await step("write", () => vault.write("js1/a/b", { text: "ü", number: 3, list: [1, "2"], nested: { x: null } }));
    await step("read", () => vault.read("js1/a/b"));
    await step("list", () => vault.list("js1/a"));
    await step("read missing", () => vault.read("js1/a/c"));
    await step("update", () => vault.update("js1/a/b", { text: "other" }));
    await step("delete", () => vault.delete("js1/a/b"));
    await step("list empty", () => vault.list("js1/a"));
    await step("remount", () => vault.remount({ from: "js1", to: "js2" }));
    await step("unmount", () => vault.unmount({ mount_point: "js2" }));
    await step("v2 write", () => vault.write("secret/data/js", { data: { x: "1" } }));
    await step("v2 read", () => vault.read("secret/data/js"));
    await step("v2 destroy", () => vault.destroySecretVersions({ mount: "secret", path: "js", versions: [1] }));
    await step("v2 read destroyed", () => vault.read("secret/data/js"));
    await step("v2 metadata", () => vault.read("secret/metadata/js"));
    await step("v2 remove", () => vault.delete("secret/metadata/js"));
    await step("policy add", () => vault.addPolicy({ name: "js", rules: 'path "secret/data/js/*" { capabilities = ["read", "create"] }' }));
    await step("policy get", () => vault.getPolicy({ name: "js" }));
    await step("policies", () => vault.policies());
    const made = await step("token create", () => connect(root).tokenCreate({ policies: ["js"], ttl: "1h", display_name: "js", meta: { a: "b" } }));
    const child = connect(made ? made.auth.client_token : "missing");
    await step("child self", () => child.tokenLookupSelf());
    await step("child write", () => child.write("secret/data/js/own", { data: { x: "1" } }));
    await step("child forbidden", () => child.read("secret/data/other"));
    await step("child renew", () => child.tokenRenewSelf({ increment: "30m" }));
    await step("accessor lookup", () => vault.tokenLookupAccessor({ accessor: made ? made.auth.accessor : "missing" }));
    await step("accessor revoke", () => vault.tokenRevokeAccessor({ accessor: made ? made.auth.accessor : "missing" }));
    await step("child revoked", () => child.tokenLookupSelf());
    const orphan = await step("token create orphan", () => connect(root).tokenCreateOrphan({ policies: ["js"], ttl: "1h", period: "1h" }));
    await step("token lookup", () => vault.tokenLookup({ token: orphan ? orphan.auth.client_token : "missing" }));
    await step("token renew", () => connect(root).tokenRenew({ token: orphan ? orphan.auth.client_token : "missing" }));
    await step("token revoke", () => vault.tokenRevoke({ token: orphan ? orphan.auth.client_token : "missing" }));
    await step("auths", () => vault.auths());
    await step("audits", () => vault.audits());
    await step("rotate", () => vault.rotate());
    await step("generate root", () => vault.generateRootInit());
    await step("generate root cancel", () => vault.generateRootCancel());
    await step("policy remove", () => vault.removePolicy({ name: "js" }));
    await step("tidy up", () => vault.delete("secret/metadata/js/own"));
}

main().catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
});
