//! What the command line says when something is wrong, and with which exit code.

use std::net::TcpListener;

use crate::server::serve;
use crate::support::{data_dir, run, write};

#[test]
fn problems_are_told_with_every_pointer() {
    for (status, body, expected) in [
        (
            400,
            r#"{"type":"urn:x","title":"the request is not valid","status":400,"detail":"the revision cannot be used",
                "errors":[{"pointer":"/rules/0/config","detail":"fields is missing"},{"pointer":"","detail":"no event types"}]}"#,
            "error: the request is not valid: the revision cannot be used\n  /rules/0/config: fields is missing\n  (whole): no event types\n",
        ),
        (
            400,
            r#"{"title":"the request is not valid","detail":"unknown member","pointer":"/x"}"#,
            "error: the request is not valid: unknown member\n  at /x\n",
        ),
        (
            400,
            r#"{"title":"no","detail":"one place","pointer":"/x","errors":[{"pointer":"/x","detail":"why"}]}"#,
            "error: no: one place\n  /x: why\n",
        ),
        (502, "<h1>Bad gateway</h1>", "error: 502 Bad Gateway: <h1>Bad gateway</h1>\n"),
        (401, "\u{1b}]0;x\u{7}", "error: 401 Unauthorized:  ]0;x \n"),
        (
            200,
            "hello",
            "error: http://ADDRESS answered something that is not JSON; is it the admin API?: expected value at line 1 column 1\n",
        ),
    ] {
        let address = serve(move |_| Some((status, body.to_owned())));
        let folder = data_dir(address);
        let ran = run(folder.path(), &["tenant", "create", "acme"], b"");
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        assert_eq!(ran.err.replace(&address.to_string(), "ADDRESS"), expected);
    }
}

#[test]
fn what_is_missing_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let folder = data_dir(address);
    write(&folder, "empty", "");
    for (arguments, code, expected) in [
        (&["tenant", "list"][..], 1, "no connection to http://127.0.0.1:"),
        (&["tenant", "list", "--token-file", "none"], 1, "the admin token cannot be read"),
        (&["tenant", "list", "--token-file", "empty"], 1, "empty: the file is empty"),
        (&["tenant", "list", "--admin-url", "ftp://x"], 1, "does not start with http://"),
        (&["schema", "put", "-t", "a", "n", "none.json"], 1, "none.json"),
        (&["post", "--api-key-file", "none"], 1, "the API key cannot be read"),
        (&["post", "--api-key-file", "api-key", "--batch", "1001"], 1, "must be 1 to 1000"),
        (&["tenant"], 2, "Usage"),
        (&["post"], 2, "--api-key-file"),
        (&["post", "--api-key", "x", "--max-elapsed", "5"], 2, "such as 90s"),
        (&["schema", "put", "name", "file"], 2, "--tenant"),
        (&["serve", "--config", "none.toml"], 1, "none.toml"),
    ] {
        let ran = run(folder.path(), arguments, b"");
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{arguments:?}: {}", ran.err);
    }
}
