import DurableIO
import TestSupport
import Testing

@Suite struct DigestTests {
    // FIPS 180-4 examples and RFC 1321, appendix A.5.
    @Test func knownAnswers() {
        #expect(
            hex(SHA256.hash(Array("abc".utf8))) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(hex(SHA256.hash([])) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(hex(MD5.hash(Array("".utf8))) == "d41d8cd98f00b204e9800998ecf8427e")
        #expect(hex(MD5.hash(Array("message digest".utf8))) == "f96b697d7cb7938d525a2f31aaf161d0")
        let digits = String(repeating: "1234567890", count: 8)
        #expect(hex(MD5.hash(Array(digits.utf8))) == "57edf4a22be3c955ac49da2e2107b67a")
        // On hosts in FIPS mode libcrypto has none.
        for count in [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 151) }
            #expect(bytes.withUnsafeBytes { MD5.ownHash($0) } == MD5.hash(bytes))
        }
    }

    // RFC 4231, cases 1, 2 and 6.
    @Test func authenticationCodes() {
        #expect(
            hex(HMACSHA256.authenticate(key: [UInt8](repeating: 0x0b, count: 20), message: Array("Hi There".utf8)))
                == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        #expect(
            hex(HMACSHA256.authenticate(key: Array("Jefe".utf8), message: Array("what do ya want for nothing?".utf8)))
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        let text = "Test Using Larger Than Block-Size Key - Hash Key First"
        #expect(
            hex(HMACSHA256.authenticate(key: [UInt8](repeating: 0xaa, count: 131), message: Array(text.utf8)))
                == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    }

    @Test func aStreamHashesAsItsWholeHoweverItIsCut() {
        var generator = SeededGenerator(seed: 1)
        for length in [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000] {
            let bytes = generator.bytes(length)
            var hash = SHA256()
            for byte in bytes { hash.update([byte]) }
            #expect(hash.finalize() == SHA256.hash(bytes))
        }
    }

    @Test func aCopyGoesOnAlone() {
        var first = SHA256()
        first.update(Array("ab".utf8))
        var second = first
        second.update(Array("c".utf8))
        let prefix = first.finalize()
        first.update(Array("d".utf8).span.bytes)
        #expect(prefix == SHA256.hash(Array("ab".utf8)))
        #expect(second.finalize() == SHA256.hash(Array("abc".utf8)))
        #expect(first.finalize() == SHA256.hash(Array("abd".utf8)))
    }

    @Test func textEncodingsGoBothWays() {
        var generator = SeededGenerator(seed: 2)
        for length in 0..<70 {
            let value = generator.bytes(length)
            #expect(bytes(hex: hex(value)) == value)
            #expect(bytes(base64: base64(value)) == value)
        }
        #expect(base64(Array("fooba".utf8)) == "Zm9vYmE=")
        #expect(hex([0x0f, 0xA0]) == "0fa0")
        #expect(bytes(hex: "0") == nil && bytes(hex: "zz") == nil)
        #expect(bytes(base64: "Zm9") == nil && bytes(base64: "Z=9v") == nil && bytes(base64: "Zm9*") == nil)
    }
}
