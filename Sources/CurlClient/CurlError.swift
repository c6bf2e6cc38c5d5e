import CCurl
import Glibc

/// What libcurl says.
public struct CurlError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The `CURLcode`; https://curl.se/libcurl/c/libcurl-errors.html
    public let code: Int
    /// What libcurl says about it.
    public let detail: String
    /// The `errno` of the last failed connection attempt; 0 is none.
    public let systemError: Int32

    /// Creates an error.
    public init(code: Int, detail: String, systemError: Int32 = 0) {
        self.code = code
        self.detail = detail
        self.systemError = systemError
    }

    init(_ code: CURLcode, detail: String = "", systemError: Int32 = 0) {
        let text = detail.isEmpty ? String(cString: curl_easy_strerror(code)) : detail
        self.init(code: Int(code.rawValue), detail: text, systemError: systemError)
    }

    /// Nobody listens there.
    public var isRefused: Bool {
        code == Int(CURLE_COULDNT_CONNECT.rawValue) && (systemError == ECONNREFUSED || systemError == ENOENT)
    }

    /// The connection was lost before the answer was whole.
    public var isReset: Bool {
        [CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_PARTIAL_FILE].contains {
            Int($0.rawValue) == code
        }
    }

    /// The other side answered with something that is not HTTP/1.
    public var isNotHTTP: Bool {
        [CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY].contains { Int($0.rawValue) == code }
    }

    /// A budget was used up.
    public var isTimeout: Bool { code == Int(CURLE_OPERATION_TIMEDOUT.rawValue) }

    /// The host's name stands for no address.
    public var isUnknownName: Bool { code == Int(CURLE_COULDNT_RESOLVE_HOST.rawValue) }

    /// The detail with libcurl's number.
    public var description: String { "\(detail) (curl \(code))" }
}
