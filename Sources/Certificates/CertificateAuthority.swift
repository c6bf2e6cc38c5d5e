import Crypto
import DeploymentCore
import Foundation
import SwiftASN1
import X509

/// An authority of this machine's own, which clients are told to trust.
struct CertificateAuthority {
    /// How long an authority vouches.
    static let lifetime: TimeInterval = 3650 * 86_400
    /// How long a certificate is good; some clients take none for longer than 825 days.
    static let certificateLifetime: TimeInterval = 397 * 86_400
    /// How long before its end a certificate is made anew.
    static let renewal: TimeInterval = 30 * 86_400
    /// How far the clocks of clients may be behind.
    private static let clockSkew: TimeInterval = 3600

    let certificate: Certificate
    /// Its certificate as PEM.
    let pem: String
    private let key: P256.Signing.PrivateKey

    /// Its private key as PEM.
    var keyPEM: String { key.pemRepresentation + "\n" }

    /// Makes an authority.
    init(now: Date) throws {
        let key = P256.Signing.PrivateKey()
        let name = try DistinguishedName {
            OrganizationName("Berth")
            CommonName("Berth local authority \(UInt32.random(in: 0 ... .max))")
        }
        let publicKey = Certificate.PublicKey(key.publicKey)
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: publicKey,
            notValidBefore: now - Self.clockSkew, notValidAfter: now + Self.lifetime, issuer: name, subject: name,
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: Certificate.Extensions {
                // It vouches for servers, not for other authorities.
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                SubjectKeyIdentifier(hash: publicKey)
            },
            issuerPrivateKey: Certificate.PrivateKey(key))
        self.certificate = certificate
        self.key = key
        pem = try certificate.serializeAsPEM().pemString + "\n"
    }

    /// Reads an authority that was made before.
    ///
    /// - Throws: `conflict` when the files are damaged: made anew, every client would have to trust it anew, so the user
    ///   has to say so.
    init(certificate text: String, key secret: String) throws {
        do {
            certificate = try Certificate(pemEncoded: text)
            key = try P256.Signing.PrivateKey(pemRepresentation: secret)
            pem = text
        } catch {
            throw Self.damaged(error)
        }
        guard certificate.publicKey == Certificate.PublicKey(key.publicKey) else { throw Self.damaged(nil) }
    }

    private static func damaged(_ cause: (any Error)?) -> BerthError {
        BerthError(
            .conflict, "the authority's certificate and key are damaged",
            suggestion: "remove the folder tls of BERTH_HOME and run `berth tls` again", cause: cause)
    }

    /// Whether it ends before a new certificate would.
    func needsRenewal(at now: Date) -> Bool {
        certificate.notValidAfter < now + Self.certificateLifetime || certificate.notValidBefore > now
    }

    /// Makes a certificate for a domain and the names right below it, and its key, both as PEM.
    func issue(domain: String, now: Date) throws -> (certificate: String, key: String) {
        let key = P256.Signing.PrivateKey()
        let publicKey = Certificate.PublicKey(key.publicKey)
        let subject = try DistinguishedName {
            OrganizationName("Berth")
            // A common name has no more room than this; it is the alternative names that count.
            CommonName(String(domain.prefix(64)))
        }
        let identifier = SubjectKeyIdentifier(hash: certificate.publicKey)
        let issued = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: publicKey,
            notValidBefore: now - Self.clockSkew, notValidAfter: now + Self.certificateLifetime,
            issuer: certificate.subject, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage([.serverAuth])
                SubjectAlternativeNames([
                    .dnsName(domain), .dnsName("*.\(domain)"), .dnsName("localhost"),
                    .ipAddress(ASN1OctetString(contentBytes: [127, 0, 0, 1])),
                ])
                SubjectKeyIdentifier(hash: publicKey)
                AuthorityKeyIdentifier(keyIdentifier: identifier.keyIdentifier)
            },
            issuerPrivateKey: Certificate.PrivateKey(self.key))
        return (try issued.serializeAsPEM().pemString + "\n", key.pemRepresentation + "\n")
    }
}
