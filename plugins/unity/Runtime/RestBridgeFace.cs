// SPDX-License-Identifier: MIT
using Unity.Collections;
using Unity.Collections.LowLevel.Unsafe;
using UnityEngine;
using UnityEngine.UI;

namespace RestBridge
{
    /// <summary>
    /// Shows the face, with its transparency, wherever there is room for it: on a RawImage, a
    /// SpriteRenderer, or the material of a Renderer. The texture stands upright, is sRGB in linear and
    /// gamma projects alike, and its alpha is straight. Makes no garbage.
    /// </summary>
    [AddComponentMenu("RestBridge/Face")]
    public sealed class RestBridgeFace : RestBridgeBehaviour
    {
        private const float SpritePixelsPerUnit = 100f;

        [Tooltip("Shows it in a user interface.")]
        [SerializeField] private RawImage image = null;
        [Tooltip("Shows it as a sprite.")]
        [SerializeField] private SpriteRenderer sprite = null;
        [Tooltip("Shows it on a mesh; its material must blend straight alpha, as RestBridge/Face does.")]
        [SerializeField] private Renderer mesh = null;
        [Tooltip("The texture of the mesh's material.")]
        [SerializeField] private string textureProperty = "_MainTex";
        [Tooltip("Keep width and height of the image in the picture's proportion.")]
        [SerializeField] private bool keepAspect = true;

        private readonly FramePicker picker = new FramePicker();
        private readonly FrameCopier copier = new FrameCopier();
        private MaterialPropertyBlock block;
        private Texture2D texture;
        private Sprite made;
        private BridgeClient shownClient;

        /// <summary>The texture; null before the first picture. Another one after a change of size.</summary>
        public Texture2D Texture
        {
            get { return texture; }
        }

        /// <summary>Pictures that were shown.</summary>
        public long NumShown { get; private set; }

        /// <summary>Age of the newest picture when it was copied, in seconds, since its voice.</summary>
        public double LatencySeconds { get; private set; }

        /// <summary>Whether the picture on show is generated, which viewers should be told.</summary>
        public bool Synthetic { get; private set; }

        /// <summary>Shows it on an image.</summary>
        public void ShowOn(RawImage target)
        {
            image = target;
            if (texture != null && image != null) ShowOnImage();
        }

        /// <summary>Shows it as a sprite.</summary>
        public void ShowOn(SpriteRenderer target)
        {
            sprite = target;
            if (texture != null && sprite != null) ShowOnSprite();
        }

        /// <summary>Shows it on a mesh.</summary>
        public void ShowOn(Renderer target)
        {
            mesh = target;
            if (texture != null && mesh != null) ShowOnMesh();
        }

        private void Reset()
        {
            image = GetComponent<RawImage>();
            sprite = GetComponent<SpriteRenderer>();
            if (sprite == null) mesh = GetComponent<Renderer>();
        }

        private void OnDisable()
        {
            picker.Reset();
            copier.Dispose();
        }

        private void OnDestroy()
        {
            Discard();
        }

        private void LateUpdate()
        {
            BridgeClient client = Client;
            if (client == null) return;
            if (client != shownClient) picker.Reset();
            shownClient = client;
            FrameLease frame;
            if (!picker.TryPick(client, Connection.Clock, PlaybackClock.Now, out frame)) return;
            try
            {
                Fit(ref frame);
                if (!Upload(ref frame)) return;
                ++NumShown;
                Synthetic = frame.Synthetic;
                LatencySeconds = (BridgeClient.NowNs - frame.CapturedNs) / 1e9;
            }
            finally
            {
                frame.Dispose();
            }
        }

        // One texture, made anew only when size or format change, the old one destroyed.
        private void Fit(ref FrameLease frame)
        {
            TextureFormat format = frame.Format == PictureFormat.Bgra
                ? TextureFormat.BGRA32
                : TextureFormat.RGBA32;
            bool fits = texture != null && texture.width == frame.Width && texture.height == frame.Height
                && texture.format == format;
            if (fits) return;
            Discard();
            texture = new Texture2D(frame.Width, frame.Height, format, false, false)
            {
                name = "RestBridge face",
                wrapMode = TextureWrapMode.Clamp,
                hideFlags = HideFlags.DontSave
            };
            if (image != null) ShowOnImage();
            if (sprite != null) ShowOnSprite();
            if (mesh != null) ShowOnMesh();
        }

        private unsafe bool Upload(ref FrameLease frame)
        {
            NativeArray<byte> pixels = texture.GetRawTextureData<byte>();
            void* memory = NativeArrayUnsafeUtility.GetUnsafePtr(pixels);
            if (!copier.Copy(ref frame, memory, pixels.Length)) return false;
            texture.Apply(false, false);
            return true;
        }

        private void ShowOnImage()
        {
            image.texture = texture;
            image.uvRect = new Rect(0f, 0f, 1f, 1f);
            if (!keepAspect) return;
            Vector2 size = image.rectTransform.sizeDelta;
            image.rectTransform.sizeDelta = new Vector2(size.y * texture.width / texture.height, size.y);
        }

        private void ShowOnSprite()
        {
            if (made != null) Destroy(made);
            made = Sprite.Create(
                texture, new Rect(0f, 0f, texture.width, texture.height), new Vector2(0.5f, 0.5f),
                SpritePixelsPerUnit, 0, SpriteMeshType.FullRect);
            made.hideFlags = HideFlags.DontSave;
            sprite.sprite = made;
        }

        private void ShowOnMesh()
        {
            // A property block leaves the material, which others may share, as it is.
            if (block == null) block = new MaterialPropertyBlock();
            mesh.GetPropertyBlock(block);
            block.SetTexture(textureProperty, texture);
            mesh.SetPropertyBlock(block);
        }

        private void Discard()
        {
            if (made != null) Destroy(made);
            if (texture != null) Destroy(texture);
            made = null;
            texture = null;
        }
    }
}
