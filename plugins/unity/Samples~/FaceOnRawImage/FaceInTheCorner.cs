// SPDX-License-Identifier: MIT
using UnityEngine;
using UnityEngine.UI;

namespace RestBridge.Samples
{
    /// <summary>
    /// Shows the face like a webcam picture in the lower right corner, with its voice. Put it on a Canvas
    /// and press Play; the daemon: `rest-bridge run`.
    /// </summary>
    [RequireComponent(typeof(RectTransform))]
    public sealed class FaceInTheCorner : MonoBehaviour
    {
        [SerializeField, Range(64f, 1024f)] private float height = 320f;

        private void Awake()
        {
            // Without this the face stands still while another window has the focus.
            Application.runInBackground = true;
            if (RestBridgeConnection.Default == null) gameObject.AddComponent<RestBridgeConnection>();
            GameObject corner = new GameObject("Face", typeof(RectTransform), typeof(RawImage));
            RectTransform place = corner.GetComponent<RectTransform>();
            place.SetParent(transform, false);
            place.anchorMin = place.anchorMax = new Vector2(1f, 0f);
            place.sizeDelta = new Vector2(height, height);
            place.anchoredPosition = new Vector2(-height / 2f, height / 2f);
            corner.AddComponent<RestBridgeFace>().ShowOn(corner.GetComponent<RawImage>());
            corner.AddComponent<AudioSource>();
            corner.AddComponent<RestBridgeVoice>();
        }
    }
}
