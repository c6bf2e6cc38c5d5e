import DeploymentCore
import E2BProtocol
import HTTPTypes
import Hummingbird
import NIOCore

/// Percent-encoding as the clients use it: `+` is a space, and what is no encoding stays as it is.
public enum PercentEncoding {
    /// The text that was encoded; nil when it is not UTF-8.
    public static func decode(_ text: some StringProtocol, plusIsSpace: Bool = true) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "+"), plusIsSpace {
                bytes.append(UInt8(ascii: " "))
            } else if byte == UInt8(ascii: "%"), let high = digit(rest.first), let low = digit(rest.dropFirst().first) {
                bytes.append(high << 4 | low)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8?) -> UInt8? {
        switch byte {
        case .some(0x30...0x39): byte.map { $0 - 0x30 }
        case .some(0x41...0x46): byte.map { $0 - 0x37 }
        case .some(0x61...0x66): byte.map { $0 - 0x57 }
        default: nil
        }
    }
}

/// The parameters of a request behind `?`.
public struct QueryParameters: Sendable {
    private var values: [String: [String]] = [:]

    /// Reads the raw query.
    public init(_ query: String?) {
        for part in (query ?? "").split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentEncoding.decode(pair[0]),
                let value = pair.count > 1 ? PercentEncoding.decode(pair[1]) : ""
            else { continue }
            values[name, default: []].append(value)
        }
    }

    /// The first value of a parameter; nil when it is missing or empty.
    public subscript(name: String) -> String? { values[name]?.first.flatMap { $0.isEmpty ? nil : $0 } }

    /// All values of a parameter, each of which may be a list with commas.
    public func list(_ name: String) -> [String] {
        (values[name] ?? []).flatMap { $0.split(separator: ",").map(String.init) }
    }

    /// A whole number of a range; nil when it is missing.
    ///
    /// - Throws: 400 when it is anything else.
    public func number(_ name: String, in range: ClosedRange<Int64>) throws(ControlFailure) -> Int64? {
        guard let text = self[name] else { return nil }
        guard let number = Int64(text), range.contains(number) else {
            throw ControlFailure(
                400, "\(name) has to be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}

extension Request {
    /// The largest body of a request to the control plane, in bytes.
    public static let maximumControlBody = 1 << 20

    /// The parameters behind `?`.
    public var parameters: QueryParameters { QueryParameters(uri.query) }

    /// The body as JSON; an empty one is an empty object.
    ///
    /// - Throws: 400 for what is no JSON, 413 for too much of it.
    public func controlBody() async throws -> (json: JSONValue, bytes: [UInt8]) {
        let bytes = Array(try await body.collect(upTo: Self.maximumControlBody).readableBytesView)
        guard !bytes.isEmpty else { return ([:], []) }
        do {
            return (try JSONValue(parsing: bytes), bytes)
        } catch {
            throw ControlFailure(400, "the request body is not JSON")
        }
    }
}

extension RequestContext {
    /// A segment of the path, decoded.
    ///
    /// - Throws: 400 for one that is not UTF-8.
    public func pathSegment(_ name: String) throws -> String {
        guard let text = PercentEncoding.decode(try parameters.require(name), plusIsSpace: false) else {
            throw ControlFailure(400, "the path is not UTF-8")
        }
        return text
    }

    /// The id of a sandbox in the path; what stands behind a `-`, as old ids have it, is left out.
    ///
    /// - Throws: 400 for what can be no id.
    public func sandboxID() throws -> String {
        let text = try pathSegment("sandboxID")
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ E2BProtocol.HostName.isValid($0) }), let id = parts.first else {
            throw ControlFailure(400, "'\(VisibleText.of(text))' is no id of a sandbox")
        }
        return String(id)
    }
}

extension Response {
    /// An answer in JSON.
    public static func control(
        _ json: JSONValue, status: HTTPResponse.Status = .ok, headers: [String: String] = [:]
    ) -> Response {
        var fields: HTTPFields = [.contentType: "application/json"]
        for (name, value) in headers { if let name = HTTPField.Name(name) { fields[name] = value } }
        return Response(
            status: status, headers: fields, body: ResponseBody(byteBuffer: ByteBuffer(bytes: json.encoded())))
    }
}
