// SPDX-License-Identifier: MIT
// A stub, not Unreal: see README.md. Modules Core, CoreUObject, Projects.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <type_traits>
#include <utility>

// Doc: Core/HAL/Platform.h
using int8 = std::int8_t;
using int16 = std::int16_t;
using int32 = std::int32_t;
using int64 = long long;  // as in Unreal: FString::Printf("%lld") wants it
using uint8 = std::uint8_t;
using uint16 = std::uint16_t;
using uint32 = std::uint32_t;
using uint64 = unsigned long long;
using TCHAR = char16_t;
using ANSICHAR = char;
using SIZE_T = std::size_t;
#define TEXT(text) u##text
#define PLATFORM_WINDOWS 0

// Doc: CoreUObject/UObject/ObjectMacros.h. Unreal Header Tool reads these; GENERATED_BODY becomes
// what the generated header defines for its line.
#define UCLASS(...)
#define USTRUCT(...)
#define UENUM(...)
#define UPROPERTY(...)
#define UFUNCTION(...)
#define UMETA(...)
#define STUB_COMBINE_INNER(a, b, c, d) a##b##c##d
#define STUB_COMBINE(a, b, c, d) STUB_COMBINE_INNER(a, b, c, d)
#define GENERATED_BODY(...) STUB_COMBINE(CURRENT_FILE_ID, _, __LINE__, _GENERATED_BODY)

// Doc: Core/Templates/UnrealTemplate.h
template <typename T>
std::remove_reference_t<T>&& MoveTemp(T&& Value)
{
	return static_cast<std::remove_reference_t<T>&&>(Value);
}

// Doc: Core/Containers/Array.h
template <typename T>
class TArray
{
public:
	using SizeType = int32;
	TArray();
	TArray(const T* Ptr, SizeType Count);
	TArray(std::initializer_list<T> Items);
	SizeType Num() const;
	T* GetData();
	const T* GetData() const;
	T& operator[](SizeType Index);
	const T& operator[](SizeType Index) const;
	SizeType Add(const T& Item);
	SizeType AddUnique(const T& Item);
	void Append(const T* Ptr, SizeType Count);
	template <typename U>
	SizeType Remove(const U& Item);
	void Empty(SizeType Slack = 0);
	void Reserve(SizeType Number);
	void SetNumUninitialized(SizeType NewNum);
	T* begin();
	T* end();
	const T* begin() const;
	const T* end() const;
};

// Doc: Core/Templates/Tuple.h, Core/Containers/Map.h
template <typename KeyType, typename ValueType>
struct TPair
{
	KeyType Key;
	ValueType Value;
};

template <typename KeyType, typename ValueType>
class TMap
{
public:
	const TPair<KeyType, ValueType>* begin() const;
	const TPair<KeyType, ValueType>* end() const;
};

// Doc: Core/Templates/Function.h
template <typename T>
class TFunction;
template <typename Result, typename... Arguments>
class TFunction<Result(Arguments...)>
{
public:
	template <typename F, typename = std::enable_if_t<std::is_invocable_r_v<Result, F, Arguments...>>>
	TFunction(F Function)
	{
		(void)Function;
	}
};

// Doc: Core/Containers/UnrealString.h
class FString
{
public:
	FString();
	FString(const TCHAR* Text);
	explicit FString(const ANSICHAR* Text);
	const TCHAR* operator*() const;
	bool IsEmpty() const;
	bool IsNumeric() const;
	FString Left(int32 Count) const;
	FString& operator+=(const FString& Other);
	FString& operator=(const TCHAR* Text);
	bool operator==(const FString& Other) const;
	bool operator==(const TCHAR* Text) const;
	// In the engine the format is checked against the arguments' types at compile time.
	template <typename... Arguments>
	static FString Printf(const TCHAR* Format, Arguments... Values)
	{
		static_assert(((std::is_arithmetic_v<Arguments> || std::is_enum_v<Arguments> || std::is_pointer_v<Arguments>) && ...), "only values that printf takes");
		((void)Values, ...);
		return FString(Format);
	}
};

// Doc: Core/Containers/StringConv.h
struct FStubUtf8
{
	operator const ANSICHAR*() const;
};
struct FStubTChar
{
	operator const TCHAR*() const;
};
FStubUtf8 StubToUtf8(const TCHAR* Text);
FStubTChar StubToTChar(const ANSICHAR* Text);
#define TCHAR_TO_UTF8(text) static_cast<const ANSICHAR*>(StubToUtf8(text))
#define UTF8_TO_TCHAR(text) static_cast<const TCHAR*>(StubToTChar(text))

// Doc: Core/Misc/CString.h
struct FCString
{
	static double Atod(const TCHAR* Text);
};
struct FCStringAnsi
{
	static int32 Stricmp(const ANSICHAR* A, const ANSICHAR* B);
};

// Doc: Core/UObject/NameTypes.h
class FName
{
public:
	FName();
	FName(const TCHAR* Name);
	FName(const ANSICHAR* Name);
	bool IsNone() const;
	FString ToString() const;
	bool operator==(const FName& Other) const;
};

// Doc: Core/Internationalization/Text.h
class FText
{
public:
	static FText FromString(const FString& Text);
	static FText FromName(const FName& Name);
};
FText StubText(const TCHAR* Namespace, const char* Key, const char* Text);
#define LOCTEXT(key, text) StubText(TEXT("") LOCTEXT_NAMESPACE, key, text)

// Doc: Core/Math/UnrealMathUtility.h, IntPoint.h
struct FMath
{
	template <typename T>
	static T Clamp(T Value, T Least, T Most);
	template <typename T>
	static T Max(T A, T B);
};
struct FIntPoint
{
	int32 X, Y;
	FIntPoint(int32 InX, int32 InY);
};

// Doc: Core/HAL/UnrealMemory.h
struct FMemory
{
	static void* Memcpy(void* To, const void* From, SIZE_T Count);
	static void* Memzero(void* At, SIZE_T Count);
};

// Doc: Core/HAL/CriticalSection.h, Core/Misc/ScopeLock.h
class FCriticalSection
{
};
class FScopeLock
{
public:
	explicit FScopeLock(FCriticalSection* Lock);
	~FScopeLock();
};

// Doc: Core/Templates/SharedPointer.h
template <typename T>
class TSharedRef;
template <typename T>
class TSharedPtr
{
public:
	TSharedPtr();
	TSharedPtr(std::nullptr_t);
	template <typename U, typename = std::enable_if_t<std::is_convertible_v<U*, T*>>>
	TSharedPtr(const TSharedPtr<U>& Other);
	template <typename U, typename = std::enable_if_t<std::is_convertible_v<U*, T*>>>
	TSharedPtr(const TSharedRef<U>& Other);
	bool IsValid() const;
	void Reset();
	T* operator->() const;
	T& operator*() const;
};
template <typename T>
class TSharedRef
{
public:
	template <typename U, typename = std::enable_if_t<std::is_convertible_v<U*, T*>>>
	TSharedRef(const TSharedRef<U>& Other);
	T* operator->() const;
	T& operator*() const;
};
template <typename T, typename... Arguments>
TSharedRef<T> MakeShared(Arguments&&... Values)
{
	static_assert(std::is_constructible_v<T, Arguments&&...>);
	((void)Values, ...);
	return *static_cast<TSharedRef<T>*>(nullptr);
}

// Doc: Core/Templates/PimplPtr.h
template <typename T>
class TPimplPtr
{
public:
	T* operator->() const;
	explicit operator bool() const;
};
template <typename T, typename... Arguments>
TPimplPtr<T> MakePimpl(Arguments&&... Values);

// Doc: Core/Misc/Guid.h
struct FGuid
{
};

// Doc: Core/Logging/LogMacros.h
enum class EStubVerbosity { Error, Warning, Log, All };
struct FStubLogCategory
{
};
#define DECLARE_LOG_CATEGORY_EXTERN(name, level, most) extern struct FLogCategory##name : FStubLogCategory {} name
#define DEFINE_LOG_CATEGORY(name) FLogCategory##name name
#define UE_LOG(category, verbosity, format, ...) \
	((void)(category), (void)EStubVerbosity::verbosity, (void)FString::Printf(format, ##__VA_ARGS__))

// Doc: CoreUObject/UObject/Object.h, Class.h, ObjectPtr.h, WeakObjectPtrTemplates.h, UObjectGlobals.h
class UClass
{
};
class UScriptStruct
{
};
class FObjectInitializer
{
};
class UObject
{
public:
	virtual ~UObject();
	virtual void BeginDestroy();
	FString GetPathName() const;
	static UClass* StaticClass();
};
template <typename T>
class TObjectPtr
{
public:
	TObjectPtr(T* Object = nullptr);
	operator T*() const;
	T* operator->() const;
	T* Get() const;
};
template <typename T>
class TWeakObjectPtr
{
public:
	TWeakObjectPtr(T* Object = nullptr);
	bool IsValid() const;
	T* Get() const;
	bool operator==(const T* Object) const;
};
template <typename T>
class TSubclassOf
{
public:
	TSubclassOf(UClass* Class);
};
template <typename T>
T* NewObject();
template <typename T>
T* NewObject(UObject* Outer);
template <typename T>
const T* GetDefault();
template <typename To, typename From>
To* Cast(From* Object);

// Doc: Core/Delegates/DelegateCombinations.h, CoreUObject/UObject/ScriptDelegates.h
template <typename... Arguments>
class TStubMulticast
{
public:
	void Broadcast(Arguments... Values) const;
	template <typename T>
	void StubAdd(T* Object, void (T::*Function)(Arguments...));
	template <typename T>
	void StubRemove(T* Object, void (T::*Function)(Arguments...));
};
#define AddDynamic(object, function) StubAdd(object, function)
#define RemoveDynamic(object, function) StubRemove(object, function)
#define DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(name, t1, n1) class name : public TStubMulticast<t1> {}
#define DECLARE_DYNAMIC_MULTICAST_DELEGATE_FourParams(name, t1, n1, t2, n2, t3, n3, t4, n4) \
	class name : public TStubMulticast<t1, t2, t3, t4> {}

// Doc: Core/Modules/ModuleInterface.h, ModuleManager.h
class IModuleInterface
{
public:
	virtual ~IModuleInterface();
	virtual void StartupModule();
	virtual void ShutdownModule();
};
class FModuleManager
{
public:
	template <typename T>
	static T& LoadModuleChecked(const FName Name);
	template <typename T>
	static T* GetModulePtr(const FName Name);
};
#define IMPLEMENT_MODULE(type, name) static_assert(std::is_base_of_v<IModuleInterface, type>, #name);

// Doc: Core/HAL/PlatformProcess.h (GenericPlatformProcess.h), PlatformTime.h
struct FPlatformProcess
{
	static void* GetDllHandle(const TCHAR* Filename);
	static void FreeDllHandle(void* Handle);
};
struct FPlatformTime
{
	static double Seconds();
};

// Doc: Core/Misc/Paths.h, FileHelper.h
class FPaths
{
public:
	template <typename... Parts>
	static FString Combine(Parts&&... Values);
	static FString ProjectDir();
	static bool IsRelative(const FString& Path);
};
struct FFileHelper
{
	static bool LoadFileToString(FString& Result, const TCHAR* Filename);
};

// Doc: Projects/Interfaces/IPluginManager.h
class IPlugin
{
public:
	virtual FString GetBaseDir() const = 0;
};
class IPluginManager
{
public:
	static IPluginManager& Get();
	virtual TSharedPtr<IPlugin> FindPlugin(const FString& Name) = 0;
};

// Doc: Core/Features/IModularFeature.h, IModularFeatures.h
class IModularFeature
{
};
class IModularFeatures
{
public:
	static IModularFeatures& Get();
	virtual bool IsModularFeatureAvailable(const FName Type) = 0;
	template <typename T>
	T& GetModularFeature(const FName Type);
};

// Doc: Core/Misc/Optional.h, QualifiedFrameTime.h, App.h
template <typename T>
class TOptional
{
public:
	const T& Get(const T& Otherwise) const;
};
struct FQualifiedFrameTime
{
};
class FApp
{
public:
	static TOptional<FQualifiedFrameTime> GetCurrentFrameTime();
};

// Doc: Core/Misc/AutomationTest.h
namespace EAutomationTestFlags
{
	enum Type { EditorContext = 1, EngineFilter = 2 };
}
class FAutomationTestBase
{
public:
	virtual ~FAutomationTestBase();
	virtual bool RunTest(const FString& Parameters) = 0;
	bool TestTrue(const TCHAR* What, bool Value);
	template <typename T>
	bool TestEqual(const TCHAR* What, const T& Actual, const T& Expected);
};
#define IMPLEMENT_SIMPLE_AUTOMATION_TEST(type, name, flags)          \
	static_assert((flags) != 0, name);                                 \
	class type : public FAutomationTestBase                            \
	{                                                                  \
		virtual bool RunTest(const FString& Parameters) override;        \
	};
