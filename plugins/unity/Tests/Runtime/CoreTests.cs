// SPDX-License-Identifier: MIT
using System.Collections.Generic;
using NUnit.Framework;

namespace RestBridge.Tests
{
    [TestFixture]
    public sealed class CoreTests
    {
        [Test]
        public void Blend_shapes_are_found_however_the_artist_wrote_them()
        {
            int[] found = BlendshapeMap.Resolve(
                new[] { "Body", "Head.jawOpen", "EyeBlink_L", "eye_blink_right", "MOUTHFUNNEL" });
            Assert.AreEqual(1, found[BlendshapeMap.IndexOf("jawOpen")]);
            Assert.AreEqual(2, found[BlendshapeMap.IndexOf("eyeBlinkLeft")]);
            Assert.AreEqual(3, found[BlendshapeMap.IndexOf("eyeBlinkRight")]);
            Assert.AreEqual(4, found[BlendshapeMap.IndexOf("mouthFunnel")]);
            Assert.AreEqual(BlendshapeMap.None, found[BlendshapeMap.IndexOf("tongueOut")]);
            Assert.AreEqual(BlendshapeMap.None, BlendshapeMap.IndexOf("nothing"));
        }

        [Test]
        public void Every_ARKit_name_finds_itself_and_no_other()
        {
            int[] found = BlendshapeMap.Resolve(RigValues.ArkitNames);
            for (int index = 0; index < RigValues.NumArkit; ++index) Assert.AreEqual(index, found[index]);
        }

        [TestCase(0.5f, 1f, 50f)]
        [TestCase(0.5f, 3f, 100f)]
        [TestCase(-1f, 1f, 0f)]
        public void Mesh_weights_are_percent_and_bounded(float weight, float scale, float expected)
        {
            Assert.AreEqual(expected, BlendshapeMap.ToMesh(weight, scale));
        }

        [Test]
        public void The_clock_walks_evenly_though_sound_is_handed_over_unevenly()
        {
            PlaybackClock clock = new PlaybackClock { LatencySeconds = 0.04 };
            long before = 0;
            for (int block = 0; block < 200; ++block)
            {
                double jitter = block % 3 * 0.004;
                clock.Handed(100 + block * 0.0213 + jitter, 7 + block * 0.0213);
                long mediaNs;
                Assert.IsTrue(clock.TryHeard(100 + block * 0.0213 + 0.01, out mediaNs));
                if (block > 50)
                {
                    Assert.AreEqual(7 + block * 0.0213 + 0.01 - 0.04, mediaNs / 1e9, 0.009);
                    Assert.Greater(mediaNs, before);
                    Assert.AreEqual(0.0213, (mediaNs - before) / 1e9, 0.001);
                }
                before = mediaNs;
            }
            clock.Handed(200, 300);  // another stream
            long jumped;
            clock.TryHeard(200, out jumped);
            Assert.AreEqual(300 - 0.04, jumped / 1e9, 1e-6);
        }

        [Test]
        public void Json_of_replies_is_read_whole()
        {
            Dictionary<string, object> map = (Dictionary<string, object>)Json.Parse(
                "{\"a\": [1, -2.5, \"\\u00fc\\n\\\"x\\\"\"], \"b\": {\"c\": null, \"d\": true}, "
                    + "\"e\": 9007199254740993}");
            List<object> items = (List<object>)map["a"];
            Assert.AreEqual(1L, items[0]);
            Assert.AreEqual(-2.5, items[1]);
            Assert.AreEqual("ü\n\"x\"", items[2]);
            Assert.AreEqual(9007199254740993L, map["e"]);
            Assert.IsNull(((Dictionary<string, object>)map["b"])["c"]);
            Assert.AreEqual(true, ((Dictionary<string, object>)map["b"])["d"]);
        }

        [TestCase("")]
        [TestCase("{")]
        [TestCase("[1,]")]
        [TestCase("{\"a\":1} x")]
        [TestCase("\"abc")]
        [TestCase("nul")]
        public void What_is_no_Json_is_refused(string text)
        {
            Assert.Throws<BridgeException>(() => Json.Parse(text));
        }

        [Test]
        public void Key_files_of_the_daemon_are_read()
        {
            string z85 = "ab#=.{}[]()<>!?@$%&*/+-:^0123456789ABCDEF";
            string key = z85.Substring(0, 40);
            ClientKeys keys = ClientKeys.Parse(new[]
            {
                "# A client of rest_bridge. public = \"no\"",
                "public = \"" + key + "\"", "secret=\"" + key.Replace('a', 'x') + "\"  # mine",
                "server = '" + key.Replace('a', 'y') + "'"
            });
            Assert.AreEqual(key, keys.Public);
            Assert.AreEqual(key.Replace('a', 'x'), keys.Secret);
            Assert.AreEqual(key.Replace('a', 'y'), keys.Server);
            BridgeException error = Assert.Throws<BridgeException>(
                () => ClientKeys.Parse(new[] { "public = \"short\"" }));
            StringAssert.Contains("rest-bridge keys new", error.Message);
            error = Assert.Throws<BridgeException>(() => ClientKeys.Load("/nowhere/npc.key"));
            StringAssert.Contains("rest-bridge keys new", error.Message);
        }

        [Test]
        public void Wav_files_of_any_writer_are_read()
        {
            // As espeak-ng writes to a pipe: lengths unknown; a chunk that nobody knows comes first.
            byte[] file =
            {
                (byte)'R', (byte)'I', (byte)'F', (byte)'F', 255, 255, 255, 127,
                (byte)'W', (byte)'A', (byte)'V', (byte)'E',
                (byte)'L', (byte)'I', (byte)'S', (byte)'T', 1, 0, 0, 0, 9, 0,
                (byte)'f', (byte)'m', (byte)'t', (byte)' ', 16, 0, 0, 0, 1, 0, 1, 0,
                0x22, 0x56, 0, 0, 0x44, 0xac, 0, 0, 2, 0, 16, 0,
                (byte)'d', (byte)'a', (byte)'t', (byte)'a', 255, 255, 255, 127,
                0xff, 0x7f, 0x01, 0x80, 0, 0
            };
            Pcm pcm = WavFile.Read(file);
            Assert.AreEqual(22050, pcm.RateHz);
            Assert.AreEqual(new[] { 1f, -1f, 0f }, pcm.Samples);
            Assert.Throws<BridgeException>(() => WavFile.Read(new byte[3]));
            file[34] = 24;
            Assert.Throws<BridgeException>(() => WavFile.Read(new byte[60]));
        }
    }
}
