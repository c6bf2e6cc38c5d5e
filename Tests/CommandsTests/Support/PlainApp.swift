import ControlAPI
import Foundation

/// An app without any package: it starts in a tenth of a second, and tells its version and its process.
struct PlainApp {
    var name = "plain"
    var version = 1
    /// What `/health` says of the model.
    var isLoaded = true
    /// The expression of the port that it listens on; nil when it never listens.
    var port: String? = "int(os.environ[\"PORT\"])"
    /// Python that runs first.
    var prologue = ""
    /// The sum that the smoke prediction expects of 1, 2 and 3.5.
    var expectedSum = 6.5
    /// More lines of the manifest.
    var more = ""

    /// Writes `<name>/serve.py` and `<name>/berth.yaml`; returns the manifest's path.
    @discardableResult
    func write(_ cli: CLI) throws -> String {
        try cli.write("\(name)/serve.py", source)
        return try cli.write("\(name)/berth.yaml", manifest)
    }

    private var manifest: String {
        """
        name: \(name)
        server:
          command: [python, serve.py]
        health:
          path: /health
          startup_timeout: 20s
          expect: {model_loaded: true}
        smoke:
          - name: a sum
            request: {input: [1, 2, 3.5]}
            expect: {sum: \(expectedSum)}
        rollout:
          drain: 5s
        \(more)
        """
    }

    private var source: String {
        """
        import json
        import os
        import time
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        VERSION = \(version)
        \(prologue)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, value):
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.answer({"status": "healthy", "model_loaded": \(isLoaded ? "True" : "False")})

            def do_POST(self):
                numbers = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
                if numbers == "end":
                    os._exit(7)
                self.answer({"sum": sum(numbers), "version": VERSION, "pid": os.getpid()})

            def log_message(self, *arguments):
                pass


        print(f"version {VERSION} starts")
        \(port.map { "ThreadingHTTPServer((\"127.0.0.1\", \($0)), Handler).serve_forever()" } ?? "time.sleep(3600)")

        """
    }
}

extension CLI {
    /// What the plain app answers.
    struct Sum: Codable {
        var sum: Double
        var version: Int
        var pid: Int
    }

    func sum(of name: String = "plain") async throws -> Sum {
        let answer = try await ask("\(name)/predict", "{\"input\": [1, 2, 3.5]}")
        return try JSONDecoder().decode(Sum.self, from: Data(answer.text.utf8))
    }
}
