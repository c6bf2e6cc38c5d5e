import ArgumentParser
import ControlAPI
import ControlPlane
import CurlClient
import DeploymentCore
import Foundation

/// `berth predict`: one request through the gateway.
struct PredictCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "predict", abstract: "Send one prediction through the gateway and print the answer.",
        discussion: "berth predict iris '{\"input\": [5.1, 3.5, 1.4, 0.2]}', or @file.json, or - for standard input.")

    /// The largest body that is read, in bytes.
    static let maximumBody = 64 << 20

    @Argument(help: "The deployment.")
    var name: String

    @Argument(help: ArgumentHelp("The JSON body: text, @file, or - for standard input.", valueName: "body"))
    var body: String

    @Option(
        name: [.customShort("H"), .customLong("header")], help: ArgumentHelp("A header.", valueName: "Name: value"))
    var headers: [String] = []

    @OptionGroup var output: OutputOptions

    func run() async throws { try await output.reporting { try await predict() } }

    private func predict() async throws {
        let bytes = try read()
        if body.hasPrefix("{") || body.hasPrefix("["), (try? JSONValue(parsing: bytes)) == nil {
            throw BerthError(
                .usage, "the body is not JSON", suggestion: "quote it for the shell: '{\"input\": [1, 2]}'")
        }
        try await Connection.with(starting: false) { client in
            var fields = [(name: "Content-Type", value: "application/json")]
            for header in headers {
                guard let colon = header.firstIndex(of: ":") else {
                    throw BerthError(.usage, "the header \(header) is not of the form Name: value")
                }
                let value = header[header.index(after: colon)...].trimmingCharacters(in: .whitespaces)
                fields.append((name: String(header[..<colon]), value: value))
            }
            let url = "http://127.0.0.1:\(client.endpoint.gatewayPort)/\(name)/predict"
            let request = HTTPRequest(
                method: "POST", url: url, headers: fields, body: .bytes(bytes), timeout: nil,
                transport: .network(.loopback))
            let reply = try await client.curl.send(request, limit: Self.maximumBody)
            let answer = String(decoding: reply.body, as: UTF8.self)
            // The app's answer: a terminal must not obey it, a pipe gets it as it is.
            print(Style.standardOutput.isTerminal ? VisibleText.of(answer) : answer)
            guard reply.status < 400 else {
                throw BerthError(.internalError, "\(name) answered \(reply.status)")
            }
        }
    }

    private func read() throws -> [UInt8] {
        if body == "-" { return Array(FileHandle.standardInput.readDataToEndOfFile()) }
        guard body.hasPrefix("@") else { return Array(body.utf8) }
        let path = String(body.dropFirst())
        guard let data = FileManager.default.contents(atPath: path) else {
            throw BerthError(.usage, "cannot read \(path)")
        }
        return Array(data)
    }
}
