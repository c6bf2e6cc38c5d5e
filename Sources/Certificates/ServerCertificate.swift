import Crypto
import DeploymentCore
import Foundation
import SwiftASN1
import X509

/// A certificate as it lies in a file.
struct ServerCertificate {
    private let certificate: Certificate
    private let place: String

    /// Reads the first certificate of a chain.
    init(_ chain: String, place: String) throws {
        self.place = place
        do {
            guard let first = try PEMDocument.parseMultiple(pemString: chain).first else {
                throw BerthError(.usage, "there is no certificate in \(place)")
            }
            certificate = try Certificate(pemDocument: first)
        } catch let error as BerthError {
            throw error
        } catch {
            // The cause could quote a key that was taken for it.
            throw BerthError(.usage, "\(place) is not a certificate as PEM")
        }
    }

    static func read(_ path: String) throws -> ServerCertificate {
        try ServerCertificate(try PrivateFile.read(path), place: path)
    }

    /// The day it ends.
    var end: String { certificate.notValidAfter.formatted(.iso8601.year().month().day()) }

    /// The names that it covers, in lower case.
    var names: [String] {
        let names = try? certificate.extensions.subjectAlternativeNames
        return (names.map(Array.init) ?? []).compactMap { name in
            if case .dnsName(let text) = name { text.lowercased() } else { nil }
        }
    }

    func needsRenewal(at now: Date) -> Bool {
        certificate.notValidAfter < now + CertificateAuthority.renewal || certificate.notValidBefore > now
    }

    /// - Throws: `usage` naming why it cannot serve `domain` with `key`.
    func check(key: String, place keyPlace: String, domain: String, now: Date) throws {
        let secret: Certificate.PrivateKey
        do {
            secret = try Certificate.PrivateKey(pemEncoded: key)
        } catch {
            // The cause could quote the key.
            throw BerthError(.usage, "\(keyPlace) is not a private key as PEM")
        }
        guard secret.publicKey == certificate.publicKey else {
            throw BerthError(.usage, "the key \(keyPlace) is not the one of the certificate \(place)")
        }
        guard certificate.notValidAfter > now, certificate.notValidBefore <= now else {
            throw BerthError(.usage, "the certificate \(place) is not valid today; it ends on \(end)")
        }
        let known = names
        guard known.contains("*.\(domain)") else {
            throw BerthError(
                .usage, "the certificate \(place) does not cover *.\(domain)",
                suggestion: known.isEmpty ? nil : "it covers \(known.joined(separator: ", ")); name its --domain")
        }
    }
}
