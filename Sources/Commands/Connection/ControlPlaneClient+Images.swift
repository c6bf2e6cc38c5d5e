import CurlClient
import DeploymentCore
import E2BProtocol

extension ControlPlaneClient {
    /// Asks for a build of a template.
    func requestImage(_ request: TemplateRequest) async throws -> (template: String, build: String) {
        let json = try await image("POST", "v3/templates", request.json)
        guard let template = json["templateID"]?.string, let build = json["buildID"]?.string else {
            throw BerthError(.internalError, "the control plane's answer is not understood")
        }
        return (template, build)
    }

    /// Uploads the files of a COPY, unless they are there.
    func uploadImageFiles(_ path: String, length: Int64, sha256: String, template: String) async throws {
        let answer = try await image("GET", "templates/\(template)/files/\(sha256)")
        guard answer["present"]?.bool != true else { return }
        let token = answer["url"]?.string?.split(separator: "?").last ?? ""
        _ = try await send(
            "PUT", "images/templates/\(template)/files/\(sha256)?\(token)", body: .file(path: path, length: length),
            timeout: nil)
    }

    /// Lets a build begin.
    func startImage(_ build: String, of template: String, _ recipe: TemplateRecipe) async throws {
        _ = try await image("POST", "v2/templates/\(template)/builds/\(build)", recipe.json)
    }

    /// Where a build stands, with the lines of its log behind the first `offset`.
    func imageStatus(_ build: String, of template: String, offset: Int) async throws -> JSONValue {
        try await image("GET", "templates/\(template)/builds/\(build)/status?logsOffset=\(offset)")
    }

    /// All templates.
    func images() async throws -> [JSONValue] { try await image("GET", "templates").array ?? [] }

    /// Forgets a template or a snapshot.
    func removeImage(_ name: String) async throws {
        var escaped = ""
        for byte in name.utf8 {
            let isPlain = (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte)
            let digits = String(byte, radix: 16, uppercase: true)
            escaped += isPlain ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + digits
        }
        _ = try await image("DELETE", "templates/\(escaped)")
    }

    private func image(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
        let reply = try await send(method, "images/\(path)", body: body.map { .bytes($0.encoded()) } ?? .none)
        return reply.body.isEmpty ? .null : try JSONValue(parsing: reply.body)
    }
}
