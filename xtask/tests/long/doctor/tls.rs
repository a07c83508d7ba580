//! A certificate that nobody has vouched for.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::patient::Patient;
use crate::project::DRILL_TOML;

/// Ends TLS before the real server, as a provider's proxy does: the answer `S` to the request for it (PostgreSQL documentation, "SSL Session
/// Encryption"), and everything decrypted goes on.
const TERMINATOR: &str = r"
const [, key, cert, port] = process.argv, fs = require('fs'), net = require('net'), tls = require('tls');
const options = { isServer: true, key: fs.readFileSync(key), cert: fs.readFileSync(cert) };
const server = net.createServer(client => {
  client.on('error', () => {});
  client.once('data', () => {
    client.write('S');
    const secure = new tls.TLSSocket(client, options), real = net.connect(port, '127.0.0.1');
    for (const socket of [secure, real]) socket.on('error', () => { secure.destroy(); real.destroy(); });
    secure.pipe(real).pipe(secure);
  });
}).listen(0, '127.0.0.1', () => console.log(server.address().port));
";

#[test]
fn of_a_certificate_that_is_not_trusted() {
    let mut patient = Patient::new("tls");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    patient.project.write("key.pem", &made.signing_key.serialize_pem());
    patient.project.write("server.pem", &made.cert.pem());
    let mut terminator = Command::new("node")
        .args(["-e", TERMINATOR])
        .args([patient.project.path("key.pem"), patient.project.path("server.pem")])
        .arg(patient.database.port.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(terminator.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
    let url = patient.url().replace(&format!(":{}/", patient.database.port), &format!(":{}/", port.trim()));
    patient.case(
        "certificate-rejected",
        |patient| patient.env_file(&format!("{url}?sslmode=verify-full")),
        |patient, row| {
            assert!(
                row.hint.starts_with("name the authority's certificate as `ca_file` under `[targets.staging]`"),
                "{row:?}"
            );
            patient.project.drill_toml(&format!("{DRILL_TOML}ca_file = \"server.pem\"\n"));
        },
    );
    terminator.kill().unwrap();
    terminator.wait().unwrap();
    insta::assert_snapshot!(patient.said);
}
