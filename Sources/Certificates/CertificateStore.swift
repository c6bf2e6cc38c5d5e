import DeploymentCore
import Foundation

/// The folder of the certificate that hosted sandboxes are reached under, and of the authority that vouches for it.
///
/// Everything in it is read by the owner only, and written whole or not at all.
public struct CertificateStore: Sendable {
    /// The domain where none is named: every name below `localhost` leads here without DNS.
    public static let defaultDomain = "sbx.localhost"
    /// The longest file that is read, in bytes.
    static let maximumFile = 256 * 1024

    /// The folder.
    public let folder: String

    /// Names the folder; it need not exist.
    public init(folder: String) { self.folder = folder }

    /// The certificate of the authority, which clients have to trust; absent when the user brought a certificate.
    public var authority: String { "\(folder)/ca.pem" }
    /// The certificate of the server, and those that vouch for it behind it.
    public var certificate: String { "\(folder)/server.pem" }
    /// The private key of the server.
    public var key: String { "\(folder)/server.key" }
    var authorityKey: String { "\(folder)/ca.key" }
    private var domainFile: String { "\(folder)/domain" }

    /// The domain that sandboxes are named below; nil when there is no certificate.
    public var domain: String? {
        guard FileManager.default.fileExists(atPath: certificate), FileManager.default.fileExists(atPath: key),
            let text = try? PrivateFile.read(domainFile)
        else { return nil }
        let domain = text.trimmingCharacters(in: .whitespacesAndNewlines)
        return Self.isDomain(domain) ? domain : nil
    }

    /// What was done to have a certificate.
    public enum Outcome: String, Sendable {
        /// There was none, or none for the domain.
        case made
        /// It was about to end, or was asked to be.
        case renewed
        /// It is good as it is.
        case kept
        /// It is the user's own.
        case taken
    }

    /// Makes sure that there is a certificate for `domain` and what is below it.
    ///
    /// One that is good for 30 more days is kept, and so is the authority, so that clients go on trusting it. A
    /// certificate that the user brought is replaced only by `renewing` or for another domain.
    ///
    /// - Throws: `usage` for a domain that is none, `internal` when the folder cannot be written.
    public func prepare(domain: String, renewing: Bool, now: Date = Date()) throws -> Outcome {
        let domain = domain.lowercased()
        guard Self.isDomain(domain) else {
            throw BerthError(
                .usage, "\(domain) is not the name of a domain", suggestion: "use one such as \(Self.defaultDomain)")
        }
        try PrivateFile.makeFolder(folder)
        let old = self.domain
        if old == domain, !renewing, let certificate = try? ServerCertificate.read(self.certificate) {
            guard certificate.needsRenewal(at: now) else { return .kept }
            guard isOwn else {
                throw BerthError(
                    .conflict, "your certificate in \(folder) ends on \(certificate.end)",
                    suggestion: "bring a new one with --certificate and --key, or make one with --renew")
            }
        }
        let authority = try loadAuthority(at: now) ?? makeAuthority(at: now)
        let (certificate, key) = try authority.issue(domain: domain, now: now)
        // The domain is last: without it there is no certificate.
        try PrivateFile.remove(domainFile)
        try PrivateFile.write(key, to: self.key)
        try PrivateFile.write(certificate, to: self.certificate)
        try PrivateFile.write("\(domain)\n", to: domainFile)
        return old == domain ? .renewed : .made
    }

    /// Takes the user's own certificate and key over.
    ///
    /// - Throws: `usage` when they cannot be read, do not belong together, have ended, or do not cover the domain.
    public func take(certificate: String, key: String, domain: String, now: Date = Date()) throws -> Outcome {
        let domain = domain.lowercased()
        let chain = try PrivateFile.read(certificate)
        let secret = try PrivateFile.read(key)
        try ServerCertificate(chain, place: certificate).check(key: secret, place: key, domain: domain, now: now)
        try PrivateFile.makeFolder(folder)
        try PrivateFile.remove(domainFile)
        try PrivateFile.remove(authority)
        try PrivateFile.remove(authorityKey)
        try PrivateFile.write(secret, to: self.key)
        try PrivateFile.write(chain, to: self.certificate)
        try PrivateFile.write("\(domain)\n", to: domainFile)
        return .taken
    }

    /// Whether the certificate is of our own making.
    public var isOwn: Bool { FileManager.default.fileExists(atPath: authority) }

    private func loadAuthority(at now: Date) throws -> CertificateAuthority? {
        guard isOwn, FileManager.default.fileExists(atPath: authorityKey) else { return nil }
        let authority = try CertificateAuthority(
            certificate: PrivateFile.read(self.authority), key: PrivateFile.read(authorityKey))
        return authority.needsRenewal(at: now) ? nil : authority
    }

    private func makeAuthority(at now: Date) throws -> CertificateAuthority {
        let authority = try CertificateAuthority(now: now)
        // The key first: a certificate without its key could vouch for nothing.
        try PrivateFile.remove(self.authority)
        try PrivateFile.write(authority.keyPEM, to: authorityKey)
        try PrivateFile.write(authority.pem, to: self.authority)
        return authority
    }

    /// Whether a text is a domain of at least two labels.
    static func isDomain(_ text: String) -> Bool {
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        // A name below it needs room for the longest port and id.
        guard labels.count >= 2, text.utf8.count <= 253 - 64 else { return false }
        return labels.allSatisfy { label in
            (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
                && label.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
        }
    }
}
