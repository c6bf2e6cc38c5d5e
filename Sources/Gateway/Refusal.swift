/// Why a message is not passed on. Each has one status and one sentence.
enum Refusal: Error, Equatable, CaseIterable {
    case malformedRequestLine, malformedTarget, unsafePath, targetTooLong, unsupportedVersion, unsupportedMethod
    case malformedField, headTooLarge, tooManyFields, malformedLength, lengthAndEncoding, unsupportedEncoding
    case missingHost, malformedHost, protectedFieldNamed, upgrade, expectation
    case malformedChunk, bodyTooLarge, malformedStatusLine

    /// The HTTP status that a client gets for it.
    var status: Int {
        switch self {
        case .targetTooLong: 414
        case .unsupportedVersion: 505
        case .unsupportedMethod: 405
        case .headTooLarge, .tooManyFields: 431
        case .unsupportedEncoding, .upgrade: 501
        case .expectation: 417
        case .bodyTooLarge: 413
        default: 400
        }
    }

    /// What is wrong, for the problem body.
    var detail: String {
        switch self {
        case .malformedRequestLine: "the request line is malformed"
        case .malformedTarget: "the request target must be a path"
        case .unsafePath: "the path has dot segments, empty segments or encoded separators"
        case .targetTooLong: "the request target is longer than \(RequestTarget.maximumLength) bytes"
        case .unsupportedVersion: "only http/1.1 and http/1.0 are spoken here"
        case .unsupportedMethod: "the method is not passed on"
        case .malformedField: "a header field is malformed"
        case .headTooLarge: "the head is too large"
        case .tooManyFields: "the head has too many fields"
        case .malformedLength: "content-length is malformed or repeated"
        case .lengthAndEncoding: "content-length and transfer-encoding exclude each other"
        case .unsupportedEncoding: "the only transfer-encoding understood is chunked"
        case .missingHost: "exactly one host field is required"
        case .malformedHost: "the host field is malformed"
        case .protectedFieldNamed: "connection names a field that must not be removed"
        case .upgrade: "upgrading the connection is not supported"
        case .expectation: "the only expectation understood is 100-continue"
        case .malformedChunk: "the chunked body is malformed"
        case .bodyTooLarge: "the body is larger than the deployment accepts"
        case .malformedStatusLine: "the status line is malformed"
        }
    }
}
